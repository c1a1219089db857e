import json

import numpy as np
import pytest

from tfmem.config import DatasetSettings, TextSettings, from_yaml
from tfmem.datasets import TextDataset, load
from tfmem.datasets.pictures import Pictures
from tfmem.datasets.text import check_classes
from tfmem.datasets.treebank import read_trees
from tfmem.encoders.tokens import Words
from tfmem.messages.errors import InputError

ROWS = [("a good film", 1), ('a "bad, film', 0), ("null", 1), ("so\u2028so", 0), ("fine", 1)]


def write(folder, kind, split="train", rows=ROWS):
    path = folder / f"{split}.{kind}"
    if kind == "jsonl":
        lines = [
            json.dumps(ensure_ascii=False, obj={"sentence": text, "label": label})
            for text, label in rows
        ]
    elif kind == "tsv":
        lines = ["label\tsentence", *(f"{label}\t{text}" for text, label in rows)]
    else:
        quoted = [(text.replace('"', '""'), label) for text, label in rows]
        lines = ["sentence,label,more", *(f'"{text}",{label},x' for text, label in quoted)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def settings(folder, **text):
    return DatasetSettings(name="text_files", data_dir=str(folder), text=TextSettings(**text))


def test_one_data_set_has_one_fingerprint_in_every_form(tmp_path):
    found = []
    for kind in ("csv", "tsv", "jsonl"):
        folder = tmp_path / kind
        folder.mkdir()
        write(folder, kind)
        write(folder, kind, "test", ROWS[:2])
        found.append(load(settings(folder)))
    assert [tuple(d.train_texts[:, 0]) for d in found] == [tuple(text for text, _ in ROWS)] * 3
    assert {d.fingerprint for d in found} == {found[0].fingerprint}
    np.testing.assert_array_equal(found[0].train_labels, [1, 0, 1, 0, 1])
    named = load(settings(tmp_path / "csv", class_names=("bad", "good")))
    assert named.class_names == ("bad", "good")
    assert named.fingerprint != found[0].fingerprint


def test_the_fingerprint_sees_every_text_its_place_and_its_label(tmp_path):
    from dataclasses import replace

    write(tmp_path, "csv")
    write(tmp_path, "csv", "test")
    data = load(settings(tmp_path))
    other = data.test_texts.copy()
    other[-1, 0] += "."
    changed = [
        replace(data, test_texts=other),
        replace(data, train_texts=data.train_texts[::-1]),
        replace(data, test_labels=1 - data.test_labels),
        data.keep(np.arange(4), np.arange(5)),
    ]
    assert len({d.fingerprint for d in (data, *changed)}) == 5
    moved = replace(data, train_texts=np.array([["ab", "c"]], "T"))  # a letter changes its sentence
    assert moved.fingerprint != replace(data, train_texts=np.array([["a", "bc"]], "T")).fingerprint


def test_label_noise_and_classes_are_as_for_images(tmp_path):
    rows = [(f"text {i}", i % 3) for i in range(90)]
    write(tmp_path, "csv", rows=rows)
    write(tmp_path, "csv", "test", rows)
    chosen = settings(tmp_path).model_copy(update={"classes": (2, 0), "label_noise": 0.1})
    data = load(chosen)
    assert data.class_names == ("2", "0")
    assert list(data.train_texts[:3, 0]) == ["text 0", "text 2", "text 3"]
    np.testing.assert_array_equal(data.clean_train_labels, [1, 0] * 30)
    assert (data.train_labels != data.clean_train_labels).sum() == 6
    assert data.keep(np.arange(1, 4), np.arange(2)).clean_train_labels.tolist() == [0, 1, 0]
    assert data.fingerprint == load(chosen).fingerprint


def test_a_share_can_be_held_out_for_testing(tmp_path):
    rows = [(f"text {i}", i % 2) for i in range(200)]
    write(tmp_path, "csv", rows=rows)
    data = load(settings(tmp_path, test_share=0.1))
    train, test = ({*part[:, 0]} for part in (data.train_texts, data.test_texts))
    assert len(test) == 20
    assert train.isdisjoint(test)
    assert train | test == {text for text, _ in rows}
    numbers = [int(text.split()[1]) for text in data.train_texts[:, 0]]
    assert numbers == sorted(numbers)
    assert load(settings(tmp_path, test_share=0.1)).fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("rows", "text", "message"),
    [
        ([("good", 1), (" ", 0)], {}, "record 1: sentence: expected a text, received an empty one"),
        (
            [("good", 2), ("bad", 0)],
            {},
            r"0, 2, 4: .* train\.\w+: label: '0', '2'",
        ),
        (
            [("good", 2)],
            {"class_names": ("no", "yes")},
            "record 0: expected one of 'no'",
        ),
        ([("good", -1), ("bad", 0)], {}, "label: record 0: .*unlabelled=.-1."),
        ([("good", 1), ("bad", " ")], {}, "label: record 1: expected a label, received"),
        (ROWS, {"columns": ("text",)}, "dataset.text.columns: expected one of"),
        (ROWS, {"label": "class"}, "dataset.text.label: expected one of"),
        ([], {}, "at least one example"),
    ],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_what_is_wrong_is_said_in_one_line(tmp_path, kind, rows, text, message):
    write(tmp_path, kind, rows=rows)
    write(tmp_path, kind, "test")
    with pytest.raises(InputError, match=message):
        load(settings(tmp_path, **text))


@pytest.mark.parametrize(
    ("suffix", "row"), [("csv", "good, but dull,1"), ("csv", "good"), ("tsv", "good\tbut\t1")]
)
def test_rows_longer_or_shorter_than_the_header_are_named(tmp_path, suffix, row):
    between = "," if suffix == "csv" else "\t"
    (tmp_path / f"train.{suffix}").write_text(f"sentence{between}label\nfine{between}0\n{row}\n")
    write(tmp_path, "jsonl", "test")
    with pytest.raises(
        InputError, match="record 1: expected 2 columns, as in the header, received"
    ):
        load(settings(tmp_path))


def test_a_label_outside_the_classes_is_named():
    train, test = np.array([["a"], ["b"]], "T"), np.array([["c"]], "T")
    data = TextDataset("t", train, np.arange(2), test, np.array([2]), ("no", "yes"))
    with pytest.raises(InputError, match="t: test example 0: expected a class from 0 to 1, rec"):
        check_classes(data)


def test_files_that_are_missing_ambiguous_or_torn_are_named(tmp_path):
    with pytest.raises(InputError, match=r"train\.jsonl, train\.parquet, received none"):
        load(settings(tmp_path))
    write(tmp_path, "csv")
    write(tmp_path, "tsv")
    with pytest.raises(InputError, match=r"received train\.tsv and train\.csv"):
        load(settings(tmp_path))
    (tmp_path / "train.tsv").unlink()
    (tmp_path / "test.jsonl").write_text('{"sentence": "a", "label": 0}\n{"sent')
    with pytest.raises(InputError, match=r"test\.jsonl: line 2: not JSON"):
        load(settings(tmp_path))
    with pytest.raises(InputError, match="no key text with name: npz"):
        from_yaml("dataset: {name: npz, text: {}}")


def test_trees_give_sentences_and_the_polarity_of_their_phrases(tmp_path):
    good = r"(4 (2 It) (3 (2 's) (4 (4 good) (2 (2 -LRB-) (2 and\/or)))))"
    (tmp_path / "train.txt").write_text(f"{good}\n(2 (2 so) (2 so))\n(1 (0 bad) (2 film))\n")
    (tmp_path / "test.txt").write_text(f"{good}\n(1 bad)\n")
    phrases = read_trees(tmp_path / "train.txt")[0]
    assert [(p.text, p.polarity) for p in phrases[-2:]] == [
        ("'s good ( and/or", 3),
        ("It 's good ( and/or", 4),
    ]
    data = load(DatasetSettings(name="treebank", data_dir=str(tmp_path)))
    assert list(data.train_texts[:, 0]) == ["It 's good ( and/or", "bad film"]
    np.testing.assert_array_equal(data.train_labels, [1, 0])
    np.testing.assert_array_equal(data.train_phrases, [[0, 0, 5, 1, 3], [1, 1, 1, 0, 0]])
    kept = data.keep(np.array([1]), np.array([0]))
    np.testing.assert_array_equal(kept.train_phrases, [[1, 1, 1, 0, 0]])
    language = load(
        DatasetSettings(name="treebank", data_dir=str(tmp_path), text=TextSettings(label=None))
    )
    assert list(language.train_texts[:, 0]) == ["It 's good ( and/or", "so so", "bad film"]
    assert not language.has_classes
    for broken in ("(5 (2 a) (2 b))", "(3 (2 a) (2 b)", "(3 a) (2 b)", "a", "(3 )", "(3 (2 a)))"):
        (tmp_path / "train.txt").write_text(f"{good}\n{broken}\n")
        with pytest.raises(InputError, match=r"train\.txt: line 2: expected a tree"):
            load(DatasetSettings(name="treebank", data_dir=str(tmp_path)))


def test_the_treebank_is_that_of_the_paper(shared_data):
    data = load(DatasetSettings(name="treebank", data_dir=str(shared_data / "sst2")))
    assert (len(data.train_labels), len(data.test_labels)) == (6920, 1821)
    positive, negative = data.train_phrases[:, 3:].sum(1), data.train_phrases[:, :2].sum(1)
    share = (positive + 0.01) / (positive + negative + 0.02)  # Zheng & Jiang 2022, eq. 24
    means = [100 * share[data.train_labels == label].mean() for label in (0, 1)]
    np.testing.assert_allclose(means, [23.24, 86.39], atol=0.005)  # their Table 1, all


def test_tfds_texts_keep_their_index_and_leave_out_what_has_no_label(tmp_path):
    import tensorflow_datasets as tfds

    class Pairs(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            return self.dataset_info_from_configs(
                features=tfds.features.FeaturesDict(
                    {
                        "premise": tfds.features.Text(),
                        "hypothesis": tfds.features.Text(),
                        "label": tfds.features.ClassLabel(names=["yes", "no"]),
                        "idx": np.int32,
                    }
                )
            )

        def _split_generators(self, dl_manager):
            return {"train": self._examples(9), "test": self._examples(0)}

        def _examples(self, missing):
            for i in range(30):
                label = -1 if i >= 30 - missing or not missing else i % 2
                yield i, {"premise": f"p {i}", "hypothesis": f"é {i}", "label": label, "idx": i}

        def _generate_examples(self):
            raise NotImplementedError

    Pairs(data_dir=tmp_path).download_and_prepare()
    text = TextSettings(columns=("premise", "hypothesis"))
    chosen = DatasetSettings(name="pairs", data_dir=str(tmp_path), text=text, test_split="train")
    data = load(chosen)
    assert data.notes[0] == "pairs/1.0.0: train: 9 examples without a label are left out"
    assert data.train_texts.tolist() == [[f"p {i}", f"é {i}"] for i in range(21)]
    language = load(
        chosen.model_copy(
            update={"text": TextSettings(columns=("premise",), label=None), "test_split": "test"}
        )
    )
    assert language.train_texts[:, 0].tolist() == [f"p {i}" for i in range(30)]
    assert language.train_labels.tolist() == [0] * 30
    with pytest.raises(InputError, match="no example of 'test' has a label"):
        load(chosen.model_copy(update={"test_split": "test"}))
    with pytest.raises(InputError, match=r"dataset\.text: .*received 'sentence'"):
        load(chosen.model_copy(update={"text": TextSettings()}))
    with pytest.raises(InputError, match=r"dataset\.text\.label: .*expected a column of classes"):
        load(chosen.model_copy(update={"text": text.model_copy(update={"label": "idx"})}))
    with pytest.raises(InputError, match=r"dataset\.text\.columns: .*expected texts in 'idx'"):
        load(chosen.model_copy(update={"text": text.model_copy(update={"columns": ("idx",)})}))


def test_words_are_numbered_by_how_often_they_occur():
    words = Words(np.array([["the cat, the dog"], ["The bird"]], "T"), size=7)
    tokens = words.tokenize(np.array([["Cat the dog", "x ,"], ["the " * 9, "y"]], "T"), 8)
    # 4 the, 5 "," and 6 bird: those that occur once are in alphabetical order
    np.testing.assert_array_equal(tokens.ids, [[2, 1, 4, 1, 3, 1, 5, 3], [2, 4, 4, 4, 4, 4, 4, 4]])
    np.testing.assert_array_equal(tokens.segments[0], [0, 0, 0, 0, 0, 1, 1, 1])
    assert (tokens.cut, tokens.counts.tolist()) == (1, [8, 8])


def test_a_text_is_shown_as_a_page(tmp_path):
    write(tmp_path, "csv", rows=[("word " * 200, 0), ("short", 1)])
    write(tmp_path, "csv", "test")
    pictures = Pictures(load(settings(tmp_path)), "train")
    long, short = pictures[0], pictures[1]
    assert long.shape == short.shape == (240, 240, 1)
    ink = [page[..., 0] for page in (long, short)]
    assert ink[0][-25:].sum() > 0
    assert 0 < ink[1].sum() < ink[0].sum() / 50
    assert all(page[:, -4:].sum() == 0 for page in ink)


def test_a_run_on_text_ends_with_its_page(tmp_path):
    from tfmem.pipelines.memorization import memorization
    from tfmem.pipelines.runner import run_chain

    words = [["dull", "bad", "poor"], ["fine", "good", "great"]]
    for split, count in (("train", 60), ("test", 24)):
        rows = [(f"{words[i % 2][i % 3]} film {i}", i % 2) for i in range(count)]
        write(tmp_path, "csv", split, rows)
    tree = f"""
dataset: {{name: text_files, data_dir: {tmp_path}, text: {{}}}}
model: {{name: transformer, vocabulary: 20, length: 6, width: 8, heads: 2}}
training: {{trials: 6, epochs: 20, batch_size: 8, learning_rate: 0.1, stack_size: 3, lanes: 1}}
"""
    out = tmp_path / "out"
    out.mkdir()
    run_chain(memorization(from_yaml(tree)), out)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") > 2  # two sheets of them, beside the figures
    with pytest.raises(
        InputError, match=r"no training\.augmentation with model\.name: transformer"
    ):
        from_yaml(tree, ["training.augmentation.flip=true"])
