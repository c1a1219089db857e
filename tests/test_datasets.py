import gzip
import struct

import numpy as np
import pytest

from tfmem.config import DatasetSettings
from tfmem.datasets import load
from tfmem.errors import InputError


def idx(array):
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_mnist(folder, images, labels):
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(images)))
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(idx(labels))


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


@pytest.mark.parametrize(
    ("name", "file", "contents", "words"),
    [
        ("mnist", "t10k-labels-idx1-ubyte", None, "t10k-labels"),
        ("mnist", "t10k-labels-idx1-ubyte", idx(np.zeros(9)), "do not belong together"),
        ("mnist", "train-labels-idx1-ubyte", b"\0\0\x08\x01\0\0\0\x09abc", "expected 9 bytes"),
        ("mnist", "train-labels-idx1-ubyte", b"GIF89", "not an idx file"),
        ("mnist", "train-images-idx3-ubyte.gz", gzip.compress(b"x" * 99)[:20], "cannot be read"),
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
