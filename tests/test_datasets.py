import gzip
import os

import numpy as np
import pytest

from tests.helpers.faults import files_of_at_most
from tests.helpers.mnist import idx, write_mnist
from tfmem.config import DatasetSettings
from tfmem.datasets import load
from tfmem.messages.errors import InputError


def settings(name, folder):
    return DatasetSettings(name=name, data_dir=str(folder))


def test_digits_are_scikit_learns_in_a_fixed_stratified_split():
    from sklearn.datasets import load_digits

    source = load_digits()
    data = load(DatasetSettings())
    assert (len(data.train_labels), len(data.test_labels)) == (1437, 360)
    again = load(DatasetSettings())  # now read from the prepared files
    assert again.fingerprint == data.fingerprint
    shares = np.bincount(data.test_labels) / np.bincount(source.target)
    assert np.abs(shares - 0.2).max() < 0.01
    by_label = np.argsort(source.target, kind="stable")
    test = np.sort(by_label[::5])
    train = np.setdiff1d(np.arange(1797), test)
    np.testing.assert_array_equal(data.train_images[..., 0], source.images[train])
    np.testing.assert_array_equal(data.test_labels, source.target[test])
    assert data.train_images.max() == data.white == 16


def test_the_fingerprint_sees_every_pixel_label_and_their_order():
    from dataclasses import replace

    data = load(DatasetSettings())
    pixel = data.test_images.copy()
    pixel[-1, -1, -1, -1] ^= 1
    label = data.train_labels.copy()
    label[[0, 1]] = label[[1, 0]]
    changed = [replace(data, test_images=pixel), replace(data, train_labels=label),
               replace(data, train_images=data.train_images[::-1])]  # fmt: skip
    assert len({d.fingerprint for d in (data, *changed)}) == 4


def test_tfds_by_name_keeps_the_order_of_ids(tmp_path):
    import tensorflow_datasets as tfds

    class ShuffledThings(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(4, 5, 3))
            features = {"id": tfds.features.Text(), "image": image,
                        "label": tfds.features.ClassLabel(names=["cat", "dog"])}  # fmt: skip
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {"train": self._generate_examples(60), "test": self._generate_examples(9)}

        def _generate_examples(self, count):
            for i in range(count):
                image = np.full((4, 5, 3), i, np.uint8)
                yield i, {"id": f"x_{i:05d}", "image": image, "label": i % 2}

    with pytest.raises(InputError, match=r"shuffled_things is not prepared in .*download=true"):
        load(settings("shuffled_things", tmp_path))
    ShuffledThings(data_dir=str(tmp_path)).download_and_prepare()
    data = load(settings("shuffled_things", tmp_path))
    np.testing.assert_array_equal(data.train_images[:, 0, 0, 0], np.arange(60))
    np.testing.assert_array_equal(data.test_labels, np.arange(9) % 2)
    assert data.class_names == ("cat", "dog")
    assert data.train_images.shape == (60, 4, 5, 3)


def test_a_process_decodes_a_split_once_and_a_changed_file_anew(tmp_path, monkeypatch):
    """Data sets share read-only arrays, and what was not used for longest is given up first."""
    from tfmem.datasets import recent, tfds_source

    read, decode = [], tfds_source._decode
    monkeypatch.setattr(recent, "_recent", {})
    monkeypatch.setattr(
        tfds_source, "_decode", lambda b, split, w: read.append(split) or decode(b, split, w)
    )
    first, again = (load(settings("digits", tmp_path)) for _ in range(2))
    assert again.train_images is first.train_images
    with pytest.raises(ValueError, match="read-only"):
        again.train_images[0] = 0
    [train] = tmp_path.glob("digits/*/digits-train*")
    os.utime(train)
    assert load(settings("digits", tmp_path)).fingerprint == first.fingerprint
    assert read == ["train", "test", "train"]

    monkeypatch.setattr(recent, "_MOST_BYTES", 2000)
    built = []
    for key in ("a", "b", "a", "c", "a", "b"):
        arrays = {"x": np.zeros(900, np.uint8)}
        recent.decoded_once(key, lambda key=key, arrays=arrays: built.append(key) or arrays)
    assert built == ["a", "b", "c", "b"]


def test_official_files_in_their_order(tmp_path):
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (7, 28, 28)), np.arange(7)
    write_mnist(tmp_path, images, labels)
    data = load(settings("mnist", tmp_path))
    np.testing.assert_array_equal(data.train_images[..., 0], images)
    np.testing.assert_array_equal(data.test_labels, labels)

    for name, label_bytes in (("cifar10", 1), ("cifar100", 2)):
        folder = tmp_path / name
        folder.mkdir()
        files = {"cifar10": [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"],
                 "cifar100": ["train.bin", "test.bin"]}[name]  # fmt: skip
        records = rng.integers(0, 10, (len(files), 3, label_bytes + 3072), np.uint8)
        for file, part in zip(files, records, strict=True):
            (folder / file).write_bytes(part.tobytes())
        data = load(settings(name, folder))
        train = records[:-1].reshape(-1, label_bytes + 3072)
        np.testing.assert_array_equal(data.train_labels, train[:, label_bytes - 1])
        red_corner, blue_end = train[:, label_bytes], train[:, -1]
        np.testing.assert_array_equal(data.train_images[:, 0, 0, 0], red_corner)
        np.testing.assert_array_equal(data.train_images[:, -1, -1, 2], blue_end)
        assert len(data.class_names) == int(name[5:])


def test_real_official_files(shared_data):
    mnist = load(settings("mnist", shared_data / "mnist"))
    assert mnist.train_images.shape == (60_000, 28, 28, 1)
    assert mnist.train_labels[:5].tolist() == [5, 0, 4, 1, 9]
    cifar = load(settings("cifar100", shared_data / "cifar-100-binary"))
    assert cifar.train_images.shape == (50_000, 32, 32, 3)
    assert (np.bincount(cifar.train_labels) == 500).all()
    assert cifar.class_names[cifar.train_labels[0]] == "cattle"


# Without a time stamp: test processes must find the same tests.
CUT_GZIP = gzip.compress(b"x" * 99, mtime=0)[:20]


@pytest.mark.parametrize(
    ("name", "file", "contents", "words"),
    [
        ("mnist", "t10k-labels-idx1-ubyte", None, "t10k-labels"),
        ("mnist", "t10k-labels-idx1-ubyte", idx(np.zeros(9)), "do not belong together"),
        ("mnist", "train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x09abc", "expected 9 bytes"),
        ("mnist", "train-labels-idx1-ubyte", b"GIF89", "not an idx file"),
        ("mnist", "train-images-idx3-ubyte.gz", CUT_GZIP, "cannot be read"),
        ("cifar100", "train.bin", b"x" * 3073, "expected records of 3074 bytes"),
        ("cifar100", "train.bin", b"\xff" * 3074, "record 0: expected a label below 100"),
        ("cifar10", "test_batch.bin", b"", "data_batch_1.bin"),
    ],
)
def test_bad_official_files_are_named(tmp_path, name, file, contents, words):
    if name == "mnist":
        write_mnist(tmp_path, np.zeros((3, 28, 28)), np.zeros(3))
    else:
        (tmp_path / "test.bin").write_bytes(b"\0" * 3074)
    if contents is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_bytes(contents)
    with pytest.raises(InputError, match=words) as error:
        load(settings(name, tmp_path))
    assert str(tmp_path) in str(error.value)


def test_unknown_sets_and_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="TFDS has no data set 'no_such_set'"):
        load(DatasetSettings(name="no_such_set"))
    with pytest.raises(InputError, match="no such folder"):
        load(settings("mnist", tmp_path / "nothing"))
    with pytest.raises(InputError, match="cifar10 is not prepared"):
        load(settings("cifar10", tmp_path))
    write_mnist(tmp_path, np.zeros((3, 28, 28)), np.zeros(3))
    with pytest.raises(InputError, match="TFDS has no data set 'mnits'"):
        load(settings("mnits", tmp_path))


def test_the_fingerprint_of_digits_stays_what_it_was():
    fingerprint = load(DatasetSettings()).fingerprint.hex()
    assert fingerprint == "fe8e32166000e2e7938aab265f177d80b3c5aace289c06f3ecf704c91db1bb1c"


def test_some_classes_are_kept_and_numbered_anew():
    whole, data = load(DatasetSettings()), load(DatasetSettings(classes=(7, "3", 0)))
    assert data.class_names == ("7", "3", "0")
    for split in ("train", "test"):
        labels, images = getattr(whole, f"{split}_labels"), getattr(whole, f"{split}_images")
        kept = np.isin(labels, (7, 3, 0))
        np.testing.assert_array_equal(getattr(data, f"{split}_images"), images[kept])
        names = np.array(data.class_names)[getattr(data, f"{split}_labels")]
        np.testing.assert_array_equal(names.astype(int), labels[kept])
    assert data.input_shape == whole.input_shape == (8, 8, 1)


def test_unknown_classes_are_refused(tmp_path):
    arrays = some_arrays(class_names=np.array(["cat", "cattle", "dog"]))
    path = write_npz(tmp_path, arrays)
    for classes, words in (
        (("cattel", "dog"), r"has no class 'cattel'; close to it are cattle, cat"),
        ((0, 3), "expected numbers below 3, .* received 3"),
        ((1, "cattle"), r"received class 1 \(cattle\) more than once"),
    ):
        with pytest.raises(InputError, match=f"dataset.classes: .*{words}"):
            load(DatasetSettings(name="npz", data_dir=str(path), classes=classes))


def test_label_noise_replaces_an_exact_number_by_other_classes():
    clean = load(DatasetSettings())
    noisy = load(DatasetSettings(label_noise=0.3, label_noise_seed=1))
    changed = np.flatnonzero(noisy.train_labels != clean.train_labels)
    assert len(changed) == round(0.3 * 1437)
    np.testing.assert_array_equal(noisy.clean_train_labels, clean.train_labels)
    np.testing.assert_array_equal(noisy.test_labels, clean.test_labels)
    steps = (noisy.train_labels - clean.train_labels)[changed] % 10
    counts = np.bincount(steps, minlength=10)
    expected = len(changed) / 9
    # Chi-squared of 8 degrees of freedom is above 42 once in 10^6.
    assert counts[0] == 0
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 42
    some = noisy.keep(changed, np.arange(3))
    np.testing.assert_array_equal(some.clean_train_labels, clean.train_labels[changed])
    again = load(DatasetSettings(label_noise=0.3, label_noise_seed=1))
    other = load(DatasetSettings(label_noise=0.3, label_noise_seed=2))
    assert again.fingerprint == noisy.fingerprint
    assert len({clean.fingerprint, noisy.fingerprint, other.fingerprint}) == 3
    # Nested in the fraction: the first 143 of the same order.
    fewer = load(DatasetSettings(label_noise=0.1, label_noise_seed=1))
    assert np.isin(np.flatnonzero(fewer.train_labels != clean.train_labels), changed).all()


def some_arrays(**others):
    rng = np.random.default_rng(0)
    return {"train_images": rng.integers(0, 256, (6, 4, 5), np.uint8),
            "test_images": rng.integers(0, 256, (3, 4, 5), np.uint8),
            "train_labels": np.array([0, 1, 2, 0, 1, 2]), "test_labels": np.array([0, 1, 1]),
            **others}  # fmt: skip


def write_npz(folder, arrays):
    path = folder / "things.npz"
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_npz_files_of_images_and_features(tmp_path):
    arrays = some_arrays()
    data = load(settings("npz", write_npz(tmp_path, arrays)))
    np.testing.assert_array_equal(data.train_images[..., 0], arrays["train_images"])
    assert (data.input_shape, data.white, data.class_names) == ((4, 5, 1), 255, ("0", "1", "2"))

    names = np.array(["cat", "cow", "dog", "elk"])
    for dtype, kept in (("f2", "f2"), ("f4", "f4"), ("f8", "f4")):
        features = {f"{split}_features": np.linspace(-1, 1, 7 * n, dtype=dtype).reshape(n, 7)
                    for split, n in (("train", 6), ("test", 3))}  # fmt: skip
        without_images = {"train_images": None, "test_images": None, "class_names": names}
        path = write_npz(tmp_path, some_arrays(**features, **without_images))
        data = load(settings("npz", path))
        np.testing.assert_array_equal(data.test_images, features["test_features"].astype(kept))
        assert data.train_images.dtype == kept
        assert (data.input_shape, data.white, data.class_names) == ((7,), 1, tuple(names))
        assert len(data.fingerprint) == 32


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ({"test_labels": None}, "expected an array 'test_labels' with 'test_images', found"),
        ({"train_images": None}, "expected an array 'train_images', found"),
        ({"train_labels": np.zeros(5, int)}, "train_labels: expected a label for each of 6"),
        ({"train_labels": np.full(6, 0.5)}, r"example 0, 1, .*whole numbers, received '0.5'"),
        ({"train_labels": np.zeros(6)}, "test_labels: .*training examples have, received '1'"),
        ({"test_labels": np.array([0, -1, 0])}, "example 1: expected labels from 0, received '-1'"),
        ({"class_names": np.array(["a", "b"])}, "example 2, 5: .* from 0 to 1, received '2'"),
        ({"class_names": np.arange(3)}, "class_names: expected strings"),
        ({"train_images": np.full((6, 4, 5), 256)}, "0 to 255, received int64 from 256 to 256"),
        ({"train_images": np.zeros((6, 20), np.uint8)}, r"expected \[examples, height, width\]"),
        ({"test_images": np.zeros((3, 4, 6), np.uint8)}, r"like train_images, uint8 \[4, 5, 1\]"),
        ({"test_images": np.zeros((3, 4, 5), "f4")}, "like train_images, .* received float32"),
        ({"train_images": np.zeros((0, 4, 5), np.uint8)}, "at least one example"),
        ({"train_images": np.full((6, 4), np.nan)}, "6 examples have others: 0, 1"),
        ({"train_images": np.ones((6, 4)), "test_images": np.full((3, 4), 1e300)}, "finite float"),
        ({"train_features": np.ones((6, 4, 2)), "test_features": np.ones(3)}, "examples, width"),
        ({"train_labels": np.array([{}] * 6)}, "Python objects, which is never"),
    ],
)  # fmt: skip
def test_bad_npz_files_are_named(tmp_path, others, words):
    path = write_npz(tmp_path, some_arrays(**others))
    with pytest.raises(InputError, match=words) as error:
        load(settings("npz", path))
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_files_that_are_no_npz_are_refused(tmp_path):
    path = write_npz(tmp_path, some_arrays())
    whole = path.read_bytes()
    for contents in (whole[:-30], whole[:200] + b"x" * 9 + whole[209:], b"hello", b""):
        path.write_bytes(contents)
        with pytest.raises(InputError, match=r"not a readable npz file|cannot be read"):
            load(settings("npz", path))
    with pytest.raises(InputError, match="expected an npz file, there is none at"):
        load(settings("npz", tmp_path))
    with pytest.raises(InputError, match=r"expected a path with dataset.name=npz"):
        load(DatasetSettings(name="npz"))
    path.write_bytes(whole)
    with pytest.raises(InputError, match=r"dataset.image_size: .*received 224"):
        load(DatasetSettings(name="npz", data_dir=str(path), image_size=224))


def test_official_files_have_their_own_splits(tmp_path):
    write_mnist(tmp_path, np.zeros((3, 28, 28)), np.zeros(3))
    with pytest.raises(InputError, match=r"at least 2 classes, all 3 are of class '0'"):
        load(settings("mnist", tmp_path))
    with pytest.raises(InputError, match=r"dataset.test_split: .*received 'validation'"):
        load(DatasetSettings(name="mnist", data_dir=str(tmp_path), test_split="validation"))


@pytest.mark.parametrize("refuses", [False, True], ids=["the system refuses", "TFDS refuses"])
def test_two_programs_prepare_a_data_set_at_once(tmp_path, monkeypatch, refuses):
    """When the second gives its folder the final name, it finds the folder of the first."""
    import tensorflow_datasets as tfds

    folders, real = [], os.rename

    def rename(old, new):
        if not folders and str(tmp_path) in os.fspath(new) and "incomplete" in os.fspath(old):
            folders.append(new)
            tfds.builder("digits", data_dir=str(tmp_path)).download_and_prepare()
            if refuses:
                raise ValueError(f"Cannot rename {old}. Destination {new} exists")
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    data = load(DatasetSettings(data_dir=str(tmp_path)))
    assert (len(folders), len(data.train_labels)) == (1, 1437)


def test_a_disk_that_is_full_while_tfds_prepares_is_named(tmp_path):
    """TFDS raises a RuntimeError, whose cause is an error of TensorFlow."""
    with files_of_at_most(2000), pytest.raises(InputError) as error:
        load(DatasetSettings(name="digits", data_dir=str(tmp_path)))
    said = str(error.value)
    assert said.startswith(f"dataset.data_dir: digits cannot be prepared in {tmp_path}/digits/")
    assert "File too large" in said
    assert "\n" not in said
    assert len(load(DatasetSettings(name="digits", data_dir=str(tmp_path))).train_labels) == 1437
