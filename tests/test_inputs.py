"""Labels and inputs as people have them are read, or refused with the setting that helps."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tfmem
from tfmem.config import DatasetSettings
from tfmem.datasets import load
from tfmem.datasets.labels import Column, as_classes
from tfmem.messages.errors import InputError

TFMEM = Path(sys.executable).with_name("tfmem")
N = 12
X = np.linspace(-1, 1, N * 8).reshape(N, 8).astype(np.float32)
Y = np.arange(N) % 3  # labels of 8 training and 4 test examples
PICTURES = np.random.default_rng(0).integers(0, 256, (N, 16, 20, 3)).astype(np.uint8)


def arrays(folder, labels=Y, inputs=X, more=None, **settings):
    """Loads an npz file of labels and inputs in some form."""
    path = folder / "things.npz"
    kind = "features" if inputs.ndim == 2 else "images"
    np.savez(path, **{f"train_{kind}": inputs[:8], f"test_{kind}": inputs[8:]},
             train_labels=labels[:8], test_labels=labels[8:], **(more or {}))  # fmt: skip
    return load(DatasetSettings(name="npz", data_dir=str(path), **settings))


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (Y, "012"),
        (Y[:, None], "012"),
        (np.eye(3)[Y], "012"),
        (np.eye(3, dtype=bool)[Y], "012"),
        (Y.astype(np.float16), "012"),
        (Y + 1, "123"),
        (7 * Y + 2, ("2", "9", "16")),
        (Y.astype(str), "012"),
        (np.array(["c", "a ", "b"])[Y], "cab"),
        (np.array(["10", "9.0", "11"])[Y], ("10", "9", "11")),
        (Y == 0, ("True", "False", "False")),
        (np.where(Y, 1, -1), ("-1", "1", "1")),
        (Y.astype(np.uint8), "012"),
    ],
    ids=["numbers", "[n, 1]", "one-hot", "one-hot bool", "floats", "from 1", "with gaps", "digits",
         "text", "numbers as text", "bool", "signs", "uint8"],
)  # fmt: skip
def test_labels_of_any_form_are_class_numbers(labels, names, tmp_path):
    """Each example's class has its label's name; classes are in the order of their values."""
    data = arrays(tmp_path, labels)
    assert [data.class_names[label] for label in data.train_labels] == [names[y] for y in Y[:8]]
    assert [data.class_names[label] for label in data.test_labels] == [names[y] for y in Y[8:]]
    whole = all(name.lstrip("-").isdigit() for name in names)
    assert list(data.class_names) == sorted(set(names), key=int if whole else None)
    if names == "012":
        assert data.fingerprint == arrays(tmp_path, Y).fingerprint
        assert data.notes == ()


def test_names_go_by_number_from_0_or_from_1(tmp_path):
    names = {"class_names": np.array(["cat", "dog", "elk"])}
    for labels in (Y, Y + 1, np.array(["cat", "dog", "elk"])[Y]):
        data = arrays(tmp_path, labels, more=names)
        np.testing.assert_array_equal(data.train_labels, Y[:8])
        assert data.class_names == ("cat", "dog", "elk")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.full(N, 0.5), "train_labels: example 0, 1, .*whole numbers, received '0.5'"),
        (np.where(Y, Y, np.inf), "received 'inf'"),
        (np.where(Y, Y, np.nan), r"example 0, 3, 6.*received none; dataset.unlabelled=\[''\]"),
        (Y - 1, r"example 0, 3, 6.*received '-1'; .*dataset.unlabelled=\[-1\] leaves them out"),
        (np.eye(3)[Y] * 2, r"expected a label for each of 8 .*received float64 \[8, 3\]"),
        (np.r_[Y[:8], np.full(4, 9)], "test_labels: example 0, 1, 2, 3: .*train_labels: '0', '1'"),
        (np.zeros(N, int), "at least 2 classes, all 8 are of class '0'"),
        (np.array(["a", ""] * 6), r"example 1, 3, .*dataset.unlabelled=\[''\]"),
    ],
    ids=["fractions", "inf", "nan", "-1", "twos", "only in test", "one class", "empty"],
)
def test_labels_that_are_no_classes_are_refused(labels, message, tmp_path):
    with pytest.raises(InputError, match=message) as error:
        arrays(tmp_path, labels)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("labels", "mark"),
    [
        (np.where(np.arange(N) % 5, Y, -1), -1),
        (np.where(np.arange(N) % 5, Y, -1).astype(float), "-1"),
        (np.where(np.arange(N) % 5, Y, np.nan), ""),
        (np.where(np.arange(N) % 5, Y.astype(str), "-"), "-"),
    ],
)
def test_rows_without_a_label_are_left_out_and_counted(labels, mark, tmp_path):
    data = arrays(tmp_path, labels, unlabelled=(mark,))
    kept = np.arange(N) % 5 > 0
    np.testing.assert_array_equal(data.train_images, X[:8][kept[:8]])
    np.testing.assert_array_equal(data.train_labels, Y[:8][kept[:8]])
    np.testing.assert_array_equal(data.test_labels, Y[8:][kept[8:]])
    assert [note.split("npz: ")[1] for note in data.notes] == [
        "train_labels: left out 2 examples without a label",
        "test_labels: left out 1 example without a label",
    ]


def test_arrays_of_keras_and_without_test_examples(tmp_path):
    path = tmp_path / "mnist.npz"
    settings = DatasetSettings(name="npz", data_dir=str(path))
    for inputs in (X, PICTURES, PICTURES[..., 0], PICTURES.astype(np.int64)):
        np.savez(path, x_train=inputs[:8], y_train=Y[:8], x_test=inputs[8:], y_test=Y[8:])
        data = load(settings)
        np.testing.assert_array_equal(data.train_images.reshape(8, -1), inputs[:8].reshape(8, -1))
        assert data.white == (1 if inputs is X else 255)
    empty = {"x_test": X[:0], "y_test": Y[:0]}
    for test in ({}, empty):
        np.savez(path, x_train=X, y_train=Y, **test)
        data = load(settings)
        assert data.test_images.shape == (0, 8)
        assert data.notes == (f"{path}: there are no test examples: influence cannot be estimated",)
    np.savez(path, x_train=X, y_train=Y, x_test=X)
    with pytest.raises(InputError, match="expected an array 'test_labels' with 'test_features'"):
        load(settings)
    np.savez(path, x_train=X, train_features=X, y_train=Y)
    with pytest.raises(InputError, match="expected train_features or x_train, received both"):
        load(settings)


def test_floats_to_255_are_said_and_scaled_by_a_setting(tmp_path):
    floats = PICTURES.astype(np.float32)
    (note,) = arrays(tmp_path, inputs=floats).notes
    assert note.startswith("warning: ")
    assert note.endswith("floats reach 255 and models see them as they are; dataset.white=255 "
                         "divides them")  # fmt: skip
    scaled = arrays(tmp_path, inputs=floats, white=255)
    assert (scaled.white, scaled.notes) == (255, ())
    assert arrays(tmp_path, inputs=floats / 255).notes == ()


def test_channels_first_are_never_taken_for_rows(tmp_path):
    first = np.moveaxis(PICTURES, -1, 1)
    with pytest.raises(InputError, match=r"\[8, 3, 16, 20\]: dataset.channels=first reads images"):
        arrays(tmp_path, inputs=first)
    data = arrays(tmp_path, inputs=first, channels="first")
    assert data.fingerprint == arrays(tmp_path, inputs=PICTURES).fingerprint
    assert arrays(tmp_path, inputs=first, channels="last").input_shape == (3, 16, 20)
    for shape in ((N, 7, 7, 512), (N, 1, 1, 64), (N, 3, 3, 64), (N, 28, 28, 1), (N, 4, 4, 3)):
        assert arrays(tmp_path, inputs=np.zeros(shape, np.float32)).input_shape == shape[1:]


def table(folder, train, test, suffix="csv", **settings):
    """Loads two tables of sentences and labels."""
    for split, labels in (("train", train), ("test", test)):
        rows = [{"sentence": f"sentence {i}", "label": label} for i, label in enumerate(labels)]
        lines = [json.dumps(row) if suffix == "jsonl" else f"{row['sentence']},{row['label']}"
                 for row in rows]  # fmt: skip
        header = [] if suffix == "jsonl" else ["sentence,label"]
        (folder / f"{split}.{suffix}").write_text("\n".join([*header, *lines, ""]))
    return load(DatasetSettings(name="text_files", data_dir=str(folder), **settings))


def test_labels_of_tables_are_whole_numbers_however_they_are_written(tmp_path):
    data = table(tmp_path, ["1.0", "2.0", "4.0"] * 3, ["1", "4"])
    assert data.class_names == ("1", "2", "4")
    np.testing.assert_array_equal(data.test_labels, [0, 2])
    assert data.notes == ("labels are '1', '2', '4': classes are numbered from 0 in their order, "
                          "and have these names",)  # fmt: skip
    names = {"text": {"class_names": ("World", "Sports", "Business", "Science")}}
    data = table(tmp_path, [1, 2, 3, 4], [4], **names)
    assert data.class_names[data.test_labels[0]] == "Science"
    data = table(tmp_path, [4, 2, 3, 1], [2, 4], **names)
    assert [data.class_names[label] for label in data.test_labels] == ["Sports", "Science"]
    kept = table(tmp_path, [1, 2, 3, 4], [4, 2], classes=(4, 2))
    assert kept.class_names == ("4", "2")


@pytest.mark.parametrize(
    ("train", "test", "suffix", "message"),
    [
        (["yes", "no"], ["Yes", "no"], "csv",
         "test.csv: label: record 0: .* train.csv: label: 'no', 'yes'; test.csv: label: 'Yes', "
         "'no'. dataset.text.class_names names"),
        ([0, 1, -1], [0], "csv", r"record 2: expected labels from 0, .*unlabelled=\[-1\]"),
        ([0, 1, float("nan")], [0], "jsonl", r"record 2: .*received none; dataset.unlabelled=\[''"),
        ([0, 1, None], [0], "jsonl", r"record 2: .*received none; dataset.unlabelled=\[''"),
        ([0, 1, [1]], [0], "jsonl", "record 2: expected classes, .* received 'list'"),
        ([0, 1, 0.5], [0], "jsonl", "record 2: expected classes, .* received '0.5'"),
        ([0, 1, "\ud800"], [0], "jsonl", "line 3: expected Unicode text, received half"),
    ],
)  # fmt: skip
def test_labels_of_tables_that_are_none_are_named(train, test, suffix, message, tmp_path):
    with pytest.raises(InputError, match=message):
        table(tmp_path, train, test, suffix)


@pytest.mark.parametrize(
    ("labels", "suffix", "mark"),
    [
        (["a", "-", "b"], "csv", "-"),
        ([0, -1, 1], "csv", -1),
        (["a", "", "b"], "csv", ""),
        ([0, None, 1], "jsonl", ""),
        ([0, float("nan"), 1.0], "jsonl", ""),
    ],
)
def test_rows_of_tables_without_a_label_are_left_out(labels, suffix, mark, tmp_path):
    data = table(tmp_path, labels, labels[:1], suffix, unlabelled=(mark,))
    assert list(data.train_texts[:, 0]) == ["sentence 0", "sentence 2"]
    assert list(data.train_labels) == [0, 1]
    assert data.notes[0].endswith(f"train.{suffix}: label: left out 1 record without a label")


def test_a_class_called_dash_is_said_unless_there_is_plus(tmp_path):
    (note,) = table(tmp_path, ["a", "-", "b"], ["a"]).notes
    assert note.startswith("'-' is a class; ")
    assert note.endswith("dataset.unlabelled=['-'] leaves them out")
    assert table(tmp_path, ["+", "-"], ["+"]).notes == ()


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"a": ' * 20_000, "1" * 5_000, '{"label": ' + "9" * 5000 + "}"]
)
def test_json_that_is_deep_or_has_huge_numbers_is_named(line, tmp_path):
    table(tmp_path, [0, 1], [0], "jsonl")
    (tmp_path / "train.jsonl").write_text(line)
    with pytest.raises(InputError, match=r"train\.jsonl: line 1: not JSON: ") as error:
        load(DatasetSettings(name="text_files", data_dir=str(tmp_path)))
    assert "\n" not in str(error.value)


def test_all_bad_rows_are_in_one_error(tmp_path):
    table(tmp_path, [0, 1], [0])
    rows = [",1" if i % 2 else "fine,0" for i in range(40)]
    (tmp_path / "train.csv").write_text("\n".join(["sentence,label", *rows]))
    with pytest.raises(InputError, match="record 1, 3, 5, 7, 9, 11, 13, 15 and 12 more: sentence"):
        load(DatasetSettings(name="text_files", data_dir=str(tmp_path)))


@pytest.mark.slow
def test_a_run_without_test_examples_says_what_was_memorized(tmp_path):
    """`tfmem run` completes; there is no influence, and the page shows no NaN."""
    np.savez(tmp_path / "x.npz", x_train=X, y_train=Y)
    settings = ["dataset.name=npz", f"dataset.data_dir={tmp_path / 'x.npz'}", "training.trials=8",
                "training.stack_size=8", "training.epochs=2", "training.batch_size=4",
                "model.name=linear"]  # fmt: skip
    arguments = [argument for each in settings for argument in ("--set", each)]
    (tmp_path / "a.yaml").write_text("{seed: 1}")
    done = subprocess.run(
        [TFMEM, "run", tmp_path / "a.yaml", "--out", tmp_path / "run", *arguments],
        capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "12 training and 0 test examples" in done.stdout
    run = tfmem.load_run(tmp_path / "run")
    seen = run.memorization.query("n_in > 0 and n_out > 0")
    assert len(seen) > 6
    assert seen["memorization"].notna().all()
    assert run.pairs.empty
    page = (tmp_path / "run" / "report.html").read_text()
    assert "0</b> test examples" in page
    assert not re.search(r"\bnan\b", page)


@pytest.mark.parametrize(("labels", "names", "expected"), [
    ([0, 1, 1, 0], ["1", "7"], [0, 1, 1, 0]),  # as tfmem writes features of classes 1 and 7
    ([0, 1, 1, 0], ["1", "0"], [0, 1, 1, 0]),
    ([1, 7, 7, 1], ["1", "7"], [0, 1, 1, 0]),
    ([1, 2, 2, 1], ["2", "1"], [0, 1, 1, 0]),
    (["0", "1", "1", "0"], ["1", "0"], [1, 0, 0, 1]),
    (["0", "1", "1", "0"], ["1", "7"], [0, 1, 1, 0]),
    (["1", "7", "7", "1"], ["1", "7"], [0, 1, 1, 0]),
])  # fmt: skip
def test_names_that_are_numbers_are_not_taken_for_numbers(labels, names, expected):
    found = as_classes([Column("file", np.array(labels))], names, (), "class_names")
    assert found.numbers[0].tolist() == expected
    assert found.names == tuple(names)
