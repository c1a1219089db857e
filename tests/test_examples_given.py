"""Data sets from what a user has in memory: arrays, tables, and what yields batches."""

import tracemalloc

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.given import given_dataset
from tfmem.datasets.noise import add_label_noise
from tfmem.datasets.pictures import Pictures
from tfmem.datasets.saved import load_saved, save_dataset
from tfmem.messages.errors import InputError
from tfmem.training.inputs import inputs_of

X = np.arange(24.0).reshape(12, 2)
Y = np.array([0, 1, 2] * 4)
ONE_HOT = np.eye(3)[Y]


def given(y, task="auto", x=X, **more):
    return given_dataset("mine", (x[:8], y[:8]), (x[8:], y[8:]), task=task, **more)


@pytest.mark.parametrize(
    "targets",
    [Y, Y[:, None], Y.astype(float), Y + 1, np.array(["ant", "bee", "cat"])[Y], list(Y),
     pd.Series(Y), pd.Categorical.from_codes(Y, ["ant", "bee", "cat"])],
    ids=["ints", "column", "floats", "from 1", "strings", "list", "series", "categories"],
)  # fmt: skip
def test_labels_in_any_form_are_classes(targets):
    data = given(targets)
    np.testing.assert_array_equal(data.train_labels, Y[:8])
    np.testing.assert_array_equal(data.test_labels, Y[8:])
    assert data.train_targets is None
    assert data.has_classes
    assert data.train_images.dtype == np.float32


@pytest.mark.parametrize(
    ("targets", "task", "kept"),
    [
        (X[:, 0] / 7, "auto", np.float32),
        (np.arange(12), "auto", np.float32),  # as many values as examples
        (X / 7, "auto", np.float32),
        (np.array([[1, 1, 0], [0, 0, 0]] * 6), "auto", np.uint8),
        (Y, "regression", np.float32),
        (ONE_HOT, "multi_label", np.uint8),
        (np.array([[5, 1, 3, 0]] * 12), "auto", np.int32),
    ],
)
def test_other_targets_are_kept_and_there_is_one_class(targets, task, kept):
    data = given(targets, task)
    assert not data.has_classes
    assert not data.train_labels.any()
    assert data.train_targets.dtype == kept
    np.testing.assert_allclose(data.test_targets, targets[8:], rtol=1e-6)
    assert data.fingerprint != given(Y).fingerprint


def test_one_hot_targets_are_classes_and_kept():
    data = given(ONE_HOT, class_names=("ant", "bee", "cat"))
    np.testing.assert_array_equal(data.train_labels, Y[:8])
    np.testing.assert_array_equal(data.train_targets, ONE_HOT[:8])
    assert data.class_names == ("ant", "bee", "cat")


FRAME = pd.DataFrame(
    {"age": [1.5, None] * 6, "kind": pd.Categorical(["a", None, "b"] * 4), "y": Y},
    index=[f"row {k}" for k in range(12)],
)


def test_tables_give_named_inputs_and_names_of_rows():
    data = given_dataset("table", FRAME[:8], FRAME[8:], label="y")
    assert isinstance(data, StructuredDataset)
    np.testing.assert_array_equal(data.train_inputs["kind"], ["a", "", "b"] * 2 + ["a", ""])
    assert data.train_inputs["age"].dtype == np.float32
    assert np.isnan(data.train_inputs["age"][1])
    assert data.test_ids.tolist() == ["row 8", "row 9", "row 10", "row 11"]
    numbers = given_dataset("numbers", (FRAME[["age"]], FRAME["y"]))
    assert isinstance(numbers, Dataset)
    assert numbers.train_images.shape == (12, 1)
    assert len(numbers.test_labels) == 0


class Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, k):
        return {"x": X[4 * k : 4 * k + 4]}, Y[4 * k : 4 * k + 4]


def test_what_yields_batches_gives_all_examples_in_order():
    alone = tf.data.Dataset.from_tensor_slices((X, Y))
    for source in (alone, alone.batch(5), alone.batch(4, drop_remainder=True)):
        data = given_dataset("tf", source)
        np.testing.assert_array_equal(data.train_images, X)
        np.testing.assert_array_equal(data.train_labels, Y)
    py = given_dataset("py", Batches())
    np.testing.assert_array_equal(py.train_inputs["x"], X)
    fixed = alone.shuffle(12, seed=1, reshuffle_each_iteration=False)
    assert sorted(given_dataset("fixed", fixed).train_images[:, 0]) == sorted(X[:, 0])
    with pytest.raises(InputError, match="reshuffle_each_iteration=False"):
        given_dataset("shuffled", alone.shuffle(12))
    with pytest.raises(InputError, match="finite"):
        given_dataset("endless", alone.repeat())


class Items:
    """Examples by their number, as data sets of PyTorch give them."""

    def __init__(self, x=X, noise=0.0):
        self.x, self.noise, self.read = x, noise, 0

    def __len__(self):
        return len(self.x)

    def __getitem__(self, k):
        self.read += 1
        return self.x[k] + self.noise * self.read, int(Y[k % 12])


def test_examples_by_their_number_and_by_names():
    data = given_dataset("items", Items())
    np.testing.assert_array_equal(data.train_images, X)
    np.testing.assert_array_equal(data.train_labels, Y)
    with pytest.raises(InputError, match="two passes gave different examples"):
        given_dataset("augmented", Items(noise=0.1))
    named = tf.data.Dataset.from_tensor_slices({"image": X, "class": Y})
    for source in (named, named.batch(5)):
        data = given_dataset("named", source, label="class")
        np.testing.assert_array_equal(data.train_images, X)
    with pytest.raises(InputError, match="label= to name the targets among image, class"):
        given_dataset("named", named)
    with pytest.raises(InputError, match=r"3 parts: give sample weights by fit_arguments"):
        given_dataset("weights", tf.data.Dataset.from_tensor_slices((X, Y, Y)))


@pytest.mark.parametrize("form", [tuple, list])
def test_several_inputs_without_names_are_taken_in_order(form):
    two = form([X, X[:, 0]])
    for given in ((two, Y), tf.data.Dataset.from_tensor_slices(((X, X[:, 0]), Y))):
        data = given_dataset("two", given)
        found = inputs_of(data, test=False)
        assert isinstance(found, list)
        np.testing.assert_array_equal(found[0], X)
        np.testing.assert_array_equal(found[1], X[:, 0])
    rows = given_dataset("rows", (list(X), Y))  # a list of examples
    np.testing.assert_array_equal(rows.train_images, X)


def allocated(function):
    """What a function returns, and the most memory that it held, in bytes."""
    tracemalloc.start()
    try:
        return function(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("form", ["file", "map", "float64", "items"])
def test_examples_that_lie_on_disk_stay_there(tmp_path, monkeypatch, form):
    """Only a few megabytes of 32 are held: while they are read, saved, opened and hashed."""
    monkeypatch.setattr("tfmem.store.publishing.MOST_BYTES", 1 << 20)  # one buffer of that size
    rows, width = 1024, 8192
    x = np.lib.format.open_memmap(
        tmp_path / "x.npy", "w+", np.float64 if form == "float64" else np.float32, (rows, width)
    )
    x[:, 0] = np.arange(rows)
    y = np.arange(rows) % 2
    x.flush()
    inputs = tmp_path / "x.npy" if form == "file" else x
    train = Items(x) if form == "items" else (inputs, y)

    def saved():
        data = given_dataset("large", train, folder=tmp_path)
        save_dataset(data, tmp_path / "run" / "data")
        return load_saved(tmp_path / "run" / "data")

    data, most = allocated(saved)
    assert most < 12 << 20
    np.testing.assert_array_equal(data.train_images[:, 0], np.arange(rows))
    assert isinstance(data.train_images, np.memmap)
    in_memory = given_dataset("small", (np.array(x, np.float32), data.train_labels))
    assert in_memory.fingerprint == data.fingerprint
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "x.npy"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"train": X}, r"a pair \(inputs, targets\).*received ndarray"),
        ({"train": (X, Y[:5])}, "as many targets as examples, 12, received 5"),
        ({"train": (X, Y), "test": (X[:, :1], Y)}, r"inputs .*\[2\].* as in training.*\[1\]"),
        ({"train": FRAME}, "label= to name the column of the targets, one of age, kind, y"),
        ({"train": (X, Y), "ids": ["a"]}, "ids: expected one for each of 12 examples, received 1"),
        ({"train": ({"a": X, "b": X[:3]}, Y)}, "inputs of one length"),
        ({"train": (np.array([[1], [1, 2]], object), [0, 1])}, "same shape"),
        ({"train": (X, np.full(12, np.nan)), "task": "regression"}, "finite.*example 0"),
        ({"train": (X, ONE_HOT + 1), "task": "classes"}, "one 1 in each row"),
        ({"train": (X, Y + 0.5), "task": "classes"}, "names or whole numbers"),
        ({"train": (X, np.array(3))}, "a target for each example"),
    ],
)
def test_what_cannot_be_used_gets_one_error(arguments, said):
    with pytest.raises(InputError, match=said):
        given_dataset("bad", **arguments)


@pytest.mark.parametrize("y", [Y, ONE_HOT, X / 7], ids=["classes", "one-hot", "numbers"])
@pytest.mark.parametrize("x", [X, {"a/../b": X, "é": np.array(["p", "q"] * 6)}])
def test_what_was_saved_is_read_back(tmp_path, x, y):
    ids = [f"name {k}" for k in range(12)]
    data = given_dataset("run", (x, y), ids=ids)
    save_dataset(data, tmp_path / "run" / "data")
    again = load_saved(tmp_path / "run" / "data")
    assert again.fingerprint == data.fingerprint
    assert type(again) is type(data)
    assert again.train_ids.tolist() == ids
    assert again.has_classes == data.has_classes
    (tmp_path / "run" / "data" / "data.npz").write_bytes(b"PK")
    with pytest.raises(InputError):
        load_saved(tmp_path / "run" / "data")


def test_pictures_show_what_was_given_from_its_least_to_its_largest_value():
    images = np.zeros((4, 2, 2, 1), np.float32)
    images[0, 0], images[1, 1] = -2, 2
    found = Pictures(given_dataset("floats", (images, [0, 1, 0, 1])), "train")
    assert found[0][:, 0, 0].tolist() == [0.0, 0.5]
    assert found[1][:, 0, 0].tolist() == [0.5, 1.0]
    white = np.full((4, 2, 2, 1), 255, np.uint8)
    assert Pictures(given_dataset("bytes", (white, [0, 1, 0, 1])), "train")[0].max() == 1


def test_noise_replaces_one_hot_targets_with_the_labels():
    data = add_label_noise(given(ONE_HOT), 0.5, 0)
    assert (data.train_labels != data.clean_train_labels).sum() == 4
    np.testing.assert_array_equal(data.train_targets.argmax(axis=1), data.train_labels)
