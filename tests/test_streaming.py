import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.helpers.photographs import CLASSES, SIZE, decoded, photo_paths, settings
from tfmem.config import DatasetSettings
from tfmem.datasets import cache, load, reading, record_index
from tfmem.messages.errors import InputError
from tfmem.store.records import read_records, write_records


def prepare(builder, data_dir, shards):
    """Prepares the photographs as a TFDS data set."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(num_shards=shards)
    builder(data_dir=str(data_dir)).download_and_prepare(download_config=config)


def all_bytes(images):
    return [images.read(i) for i in range(len(images))]


@pytest.fixture(scope="module")
def builder(photos):
    import tensorflow_datasets as tfds

    class Photos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg")
            features = {"image": image, "label": tfds.features.ClassLabel(names=list(CLASSES)),
                        "file_name": tfds.features.Text()}  # fmt: skip
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(split) for split in ("train", "test")}

        def _generate_examples(self, split):
            for path in photo_paths(photos, split):
                example = {"image": path, "label": path.parent.name, "file_name": path.name}
                yield path.name, example

    return Photos


@pytest.fixture(scope="module")
def prepared(builder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("three")
    prepare(builder, folder, 3)
    return folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFMEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copied(prepared, tmp_path):
    """Copies shards, so that a test may damage them."""
    shutil.copytree(prepared, tmp_path / "copy")
    return tmp_path / "copy"


def shards(data_dir, split="train"):
    return sorted((data_dir / "photos" / "1.0.0").glob(f"photos-{split}*"))


def rewrite(path, change):
    """Changes the payloads of a shard."""
    with open(path, "rb") as file:
        payloads = [payload for payload, _ in read_records(file, str(path))]
    with open(path, "wb") as file:
        write_records(file, change(payloads))


def test_the_index_is_by_file_name_whatever_the_shards(photos, builder, prepared, tmp_path):
    prepare(builder, tmp_path, 1)
    assert (len(shards(prepared)), len(shards(tmp_path))) == (3, 1)
    three = load(settings("photos", prepared))
    assert load(settings("photos", tmp_path)).fingerprint == three.fingerprint
    assert len(np.unique(three.train_images.file_numbers)) == 3
    for split, images, labels in (("train", three.train_images, three.train_labels),
                                  ("test", three.test_images, three.test_labels)):  # fmt: skip
        paths = photo_paths(photos, split)
        assert all_bytes(images) == [path.read_bytes() for path in paths]
        assert [CLASSES[label] for label in labels] == [path.parent.name for path in paths]
        digests = [hashlib.sha256(path.read_bytes()).digest()[:16] for path in paths]
        assert list(map(bytes, images.digests)) == digests
    assert three.class_names == CLASSES
    assert three.input_shape == (SIZE, SIZE, 3)


def test_image_folders_are_the_same_data_set(photos, prepared):
    theirs, ours = load(settings("photos", prepared)), load(settings("image_folder", photos))
    assert ours.fingerprint == theirs.fingerprint
    np.testing.assert_array_equal(ours.test_labels, theirs.test_labels)
    np.testing.assert_array_equal(np.concatenate(decoded(ours, "test", range(9))),
                                  np.concatenate(decoded(theirs, "test", range(9))))  # fmt: skip


def test_classes_and_noise_of_streamed_sets(photos, prepared):
    data = load(settings("photos", prepared, classes=("flower", "china"), label_noise=0.25))
    whole = load(settings("photos", prepared))
    np.testing.assert_array_equal(data.clean_train_labels, 1 - whole.train_labels)
    assert (data.train_labels != data.clean_train_labels).sum() == round(0.25 * 26)
    assert data.fingerprint != whole.fingerprint
    reduced = whole.keep(np.flatnonzero(whole.train_labels == 1), np.array([4]))
    paths = [path for path in photo_paths(photos, "train") if path.parent.name == "flower"]
    assert all_bytes(reduced.train_images) == [path.read_bytes() for path in paths]


def test_the_fingerprint_sees_every_pixel_and_label(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    before = load(settings("image_folder", tmp_path / "photos")).fingerprint
    flower = photo_paths(tmp_path / "photos", "train")[-1]
    image = np.array(Image.open(flower))
    image[3, 4, 0] ^= 1
    Image.fromarray(image).save(flower, "PNG")
    pixel = load(settings("image_folder", tmp_path / "photos")).fingerprint
    flower.rename(tmp_path / "photos" / "train" / "china" / "china_99.JPEG")
    label = load(settings("image_folder", tmp_path / "photos")).fingerprint
    assert len({before, pixel, label}) == 3


def test_indices_are_kept_and_built_anew_when_files_change(copied, own_cache, monkeypatch):
    builds = []
    build = record_index._build
    monkeypatch.setattr(record_index, "_build", lambda *a: builds.append(a[0]) or build(*a))
    first = load(settings("photos", copied))
    assert len(builds) == len(list(own_cache.iterdir())) == 2
    assert load(settings("photos", copied)).fingerprint == first.fingerprint
    assert len(builds) == 2

    (kept,) = own_cache.glob("*test*")
    for useless in (b"", kept.read_bytes()[:-40], kept.read_bytes().replace(b"PK", b"KP")):
        kept.write_bytes(useless)
        builds.clear()
        assert load(settings("photos", copied)).fingerprint == first.fingerprint
        assert builds == ["photos-1.0.0-test"]

    builds.clear()
    rewrite(shards(copied)[1], lambda payloads: payloads[::-1])
    os.utime(shards(copied)[1], ns=(0, 0))
    assert load(settings("photos", copied)).fingerprint == first.fingerprint
    assert builds == ["photos-1.0.0-train"]


def test_an_index_that_cannot_be_kept_does_no_harm(prepared, tmp_path, monkeypatch, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TFMEM_CACHE", str(tmp_path / "file"))
    assert len(load(settings("photos", prepared)).train_labels) == 26
    assert "cannot be kept" in caplog.text


def test_batches_come_in_the_order_asked_for(photos):
    data = load(settings("image_folder", photos))
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(26), 3))
    boxes = np.random.default_rng(2).random((78, 4), np.float32)
    for given in (None, boxes):
        batches = decoded(data, "train", order, 10, given)
        assert [len(batch) for batch in batches] == [10] * 7 + [8]
        assert batches[0].shape[1:] == (SIZE, SIZE, 3)
        assert batches[0].dtype == np.uint8
        one_by_one = [decoded(data, "train", [i], 1, None if given is None else boxes[[row]])[0][0]
                      for row, i in enumerate(order[:4])]  # fmt: skip
        np.testing.assert_array_equal(np.concatenate(batches)[:4], one_by_one)
        again = np.concatenate(decoded(data, "train", order, 78, given))
        np.testing.assert_array_equal(np.concatenate(batches), again)


def test_photographs_have_the_same_bytes_without_tensorflow(photos):
    data = load(settings("image_folder", photos))
    order = np.random.default_rng(1).permutation(np.repeat(np.arange(26), 9))
    boxes = np.random.default_rng(2).random((len(order), 4), np.float32)
    for given in (None, boxes):
        batches = list(reading.read_batches(data, "train", order, 10, given))
        assert [len(batch) for batch in batches] == [10] * 23 + [4]
        expected = np.concatenate(decoded(data, "train", order, 10, given))
        np.testing.assert_array_equal(np.concatenate(batches), expected)


def test_sets_of_one_size_are_streamed_too(monkeypatch):
    memory = load(DatasetSettings())
    stream = load(DatasetSettings(image_size=8, resize=8))
    assert stream.white == memory.white == 16
    np.testing.assert_array_equal(stream.train_labels, memory.train_labels)
    images = np.concatenate(decoded(stream, "test", [5, 350, 0]))
    expected = np.repeat(memory.test_images[[5, 350, 0]], 3, axis=3)
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "record 7: truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[:-99] + b"x" * 99), "record 7: corrupt"),
        (lambda path: path.write_bytes(b""), "expected 8 records, received 0"),
        (lambda path: rewrite(path, lambda p: p[:-1]), "expected 8 records, received 7"),
        (lambda path: rewrite(path, lambda p: [b"\xff" * 9, *p[1:]]), "record 0: not a tf.train"),
        (lambda path: rewrite(path, lambda p: [p[0].replace(b"label", b"lapel"), *p[1:]]),
         "record 0: feature 'label': expected int, received no such feature"),
        (lambda path: rewrite(path, lambda p: [p[0].replace(b"\xff\xd8\xff", b"ABC"), *p[1:]]),
         "record 0: expected an image in JPEG, .*begin b'ABC"),
        (lambda path: path.unlink(), "No such file"),
    ],
)  # fmt: skip
def test_bad_shards_are_named(copied, own_cache, change, words):
    shard = shards(copied)[1]
    change(shard)
    with pytest.raises(InputError, match=words) as error:
        load(settings("photos", copied))
    assert str(shard) in str(error.value)
    assert not list(own_cache.glob("*train*"))


def test_files_that_cannot_be_decoded_or_read_are_named(photos, tmp_path):
    folder = tmp_path / "photos"
    shutil.copytree(photos, folder)
    bad = photo_paths(folder, "train")[17]
    whole = bad.read_bytes()
    bad.write_bytes(whole[:1500])
    with pytest.raises(InputError, match=f"{bad}: an image that cannot be decoded: .*truncated"):
        load(settings("image_folder", folder))
    bad.write_bytes(whole)
    data = load(settings("image_folder", folder))
    bad.write_bytes(whole[:1500].ljust(len(whole), b"\0"))
    from tfmem.datasets.pipeline import read_batches

    batches = read_batches(data, "train", np.arange(26), 4)
    assert sum(len(next(batches)) for _ in range(4)) == 16
    with pytest.raises(
        InputError, match=rf"train example 17: {bad}: an image that cannot be decoded"
    ):
        next(batches)
    with pytest.raises(
        InputError, match=rf"train example 17: {bad}: an image that cannot be decoded"
    ):
        list(reading.read_batches(data, "train", np.arange(26), 4))
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{bad}: changed since it was indexed"):
        decoded(data, "train", [3, 17])
    bad.unlink()
    with pytest.raises(InputError, match=f"{bad}: cannot be read: No such file"):
        decoded(data, "train", [3, 17])
    bad.write_bytes(b"GIF is not what this is")
    with pytest.raises(InputError, match=f"{bad}: expected an image in JPEG.* begin b'GIF is n'"):
        load(settings("image_folder", folder))


def test_settings_that_do_not_fit_are_refused(prepared, photos):
    with pytest.raises(InputError, match=r"dataset.test_split: photos has no split 'validation'"):
        load(settings("photos", prepared, test_split="validation"))
    with pytest.raises(InputError, match=r"expected images of one size; set dataset.image_size"):
        load(settings("photos", prepared, image_size=None, resize=None))
    with pytest.raises(InputError, match=r"expected a path with dataset.name=image_folder"):
        load(DatasetSettings(name="image_folder"))
    assert load(settings("photos", prepared, image_size=224, resize=None)).resize == 256


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("TFMEM_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_folder() == tmp_path / ".cache" / "tfmem"
