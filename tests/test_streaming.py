import hashlib
import os
import shutil

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_images

from tfmem.config import DatasetSettings
from tfmem.datasets import cache, load, record_index
from tfmem.datasets.windows import RATIOS, box_windows, center_windows, in_blocks
from tfmem.errors import InputError
from tfmem.records import read_records, write_records

SIZE, RESIZE = 48, 56
CLASSES = ("china", "flower")


def write_photos(folder):
    """Real photographs of many sizes, forms and both classes; file names are not in class order."""
    rng = np.random.default_rng(0)
    sources = dict(zip(CLASSES, load_sample_images().images, strict=True))
    forms = {3: ("L", "JPEG"), 5: ("RGB", "PNG"), 7: ("CMYK", "JPEG"), 9: ("RGBA", "PNG")}
    for split, count in (("train", 26), ("test", 9)):
        for number in range(count):
            name = CLASSES[number % 2]
            height, width = rng.integers(40, 400, 2)
            top, left = rng.integers(0, 427 - height + 1), rng.integers(0, 640 - width + 1)
            image = Image.fromarray(sources[name][top : top + height, left : left + width])
            mode, form = forms.get(number, ("RGB", "JPEG"))
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            path = folder / split / name / f"{name}_{number * 7 % 100:02d}.JPEG"
            image.convert(mode).save(path, form, quality=92)


def photo_paths(folder, split):
    """In index order: by class, then by file name."""
    return [p for name in CLASSES for p in sorted((folder / split / name).iterdir())]


def prepare(builder, data_dir, shards):
    """The photographs as a TFDS data set."""
    import tensorflow_datasets as tfds

    config = tfds.download.DownloadConfig(num_shards=shards)
    builder(data_dir=str(data_dir)).download_and_prepare(download_config=config)


def settings(name, folder, **more):
    more = {"image_size": SIZE, "resize": RESIZE, **more}
    return DatasetSettings(name=name, data_dir=str(folder), **more)


def all_bytes(images):
    return [images.read(i) for i in range(len(images))]


def decoded(dataset, split, indices, batch_size=8, boxes=None):
    from tfmem.datasets.pipeline import read_batches

    batches = read_batches(dataset, split, np.asarray(indices), batch_size, boxes)
    return [batch.numpy() for batch in batches]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_photos(folder)
    return folder


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
    """Shards that a test may damage."""
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


def scaled_part(path, part):
    """A part (left, top, right, bottom, in fractions of pixels) scaled to the square by Pillow."""
    image = Image.open(path).convert("RGB")
    return image.resize((SIZE, SIZE), Image.Resampling.BILINEAR, box=part)


def difference(ours, theirs):
    """Mean difference of means over blocks of 4x4 pixels, in which filters hardly differ."""
    blocks = (np.asarray(image, float).reshape(SIZE // 4, 4, SIZE // 4, 4, 3).mean(axis=(1, 3))
              for image in (ours, theirs))  # fmt: skip
    return np.abs(np.subtract(*blocks)).mean()


def test_the_centre_is_that_of_a_resized_image(photos):
    data = load(settings("image_folder", photos))
    pixels, errors = np.concatenate(decoded(data, "train", range(26))), []
    for path, ours in zip(photo_paths(photos, "train"), pixels, strict=True):
        width, height = Image.open(path).size
        scale = min(width, height) / RESIZE
        left, top = ((side - SIZE * scale) / 2 for side in (width, height))
        part = np.array([left, top, left + SIZE * scale, top + SIZE * scale])
        error = difference(ours, scaled_part(path, part))
        assert error < 8, path  # half a pixel off at most
        moved = (part + scale * np.array(m) for m in ([2, 0, 2, 0], [0, 2, 0, 2], [0, 0, -3, -3]))
        errors.append([error, *(difference(ours, scaled_part(path, m)) for m in moved)])
    mean = np.mean(errors, axis=0)
    assert (mean[0] < 0.5 * mean[1:]).all(), mean


def test_random_boxes_lie_inside_and_cover_what_they_should():
    uniform = np.random.default_rng(0).random((20_000, 4), np.float32)
    for size in ((375, 500), (500, 333), (300, 300), (30, 900), (1, 1)):
        windows = box_windows(np.tile(np.int32(size), (20_000, 1)), uniform)
        corners, sides = windows[:, :2], windows[:, 2:]
        assert corners.min() >= 0
        assert sides.min() >= 1
        assert ((corners + sides).max(axis=0) == size).all()  # reached, and not passed
        if size == (300, 300):
            area = sides.prod(axis=1) / 300**2
            assert area.min() == pytest.approx(0.08, abs=2e-3)
            assert area.max() > 0.98
            fits = (sides < 300).all(axis=1)
            aspect = np.log(sides[fits, 1] / sides[fits, 0])
            assert np.abs(aspect).max() == pytest.approx(np.log(4 / 3), abs=0.02)
            # Means of uniform numbers; they are 5 standard errors off less than once in 10^6.
            small = area < 0.5  # which always fits
            root = np.sqrt(small.sum() * 12)
            assert area[small].mean() == pytest.approx(0.29, abs=5 * 0.42 / root)
            middle = (corners / np.maximum(1, 300 - sides))[small].mean(axis=0)
            assert middle == pytest.approx(0.5, abs=5 / root)
            assert aspect.mean() == pytest.approx(0, abs=5 * 2 * np.log(4 / 3) / root)


def test_windows_of_blocks_stay_in_the_image_and_near():
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 2000, (5000, 2)).astype(np.int32)
    for windows in (box_windows(sizes, rng.random((5000, 4))), center_windows(sizes, 48, 56)):
        which, blocks = in_blocks(windows, sizes, 48)
        ratio = RATIOS[which][:, None]
        assert set(which) == {0, 1, 2, 3}
        assert blocks.min() >= 0
        assert blocks[:, 2:].min() >= 1
        assert (blocks[:, :2] + blocks[:, 2:] <= sizes // ratio).all()
        assert (np.abs(blocks * ratio - windows) < 1.5 * ratio).all()
        assert (windows[:, 2:].min(axis=1) >= 48 * ratio[:, 0])[which > 0].all()


def test_boxes_are_cut_and_scaled(photos):
    data = load(settings("image_folder", photos))
    boxes = np.random.default_rng(3).random((26, 4), np.float32)
    pixels = np.concatenate(decoded(data, "train", range(26), 8, boxes)).astype(float)
    for path, box, ours in zip(photo_paths(photos, "train"), boxes, pixels, strict=True):
        width, height = Image.open(path).size
        ((top, left, high, wide),) = box_windows(np.array([[height, width]]), box[None])
        theirs = scaled_part(path, (left, top, left + wide, top + high))
        assert difference(ours, theirs) < 5, path


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
         "record 0: expected an image in JPEG, PNG or BMP, .*begin b'ABC"),
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
    bad.write_bytes(bad.read_bytes()[:1500])  # a JPEG file cut short
    data = load(settings("image_folder", folder))
    from tfmem.datasets.pipeline import read_batches

    batches = read_batches(data, "train", np.arange(26), 4)
    assert sum(len(next(batches)) for _ in range(4)) == 16
    with pytest.raises(
        InputError, match=rf"train example 17: {bad}, 1500 bytes at 0: .*cannot be deco"
    ):
        next(batches)
    bad.write_bytes(bad.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{bad}: changed since it was indexed"):
        decoded(data, "train", [3, 17])
    bad.unlink()
    with pytest.raises(InputError, match=f"{bad}: cannot be read: No such file"):
        decoded(data, "train", [3, 17])
    bad.write_bytes(b"GIF is not what this is")
    with pytest.raises(InputError, match=f"{bad}: expected an image in JPEG.* begin b'GIF is n'"):
        load(settings("image_folder", folder))


def test_image_folders_of_one_size_in_memory(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 2, 5, 6, 3), np.uint8)
    for split, name, row in (("train", "b", 0), ("train", "a", 1), ("val", "a", 0)):
        folder = tmp_path / split / name
        folder.mkdir(parents=True)
        for column, file in enumerate(("y.PNG", "x.bmp")):
            Image.fromarray(images[row, column]).save(folder / file)
        (folder / "notes.txt").write_text("not an image")
    one_size = settings("image_folder", tmp_path, image_size=None, resize=None, test_split="val")
    data = load(one_size)
    np.testing.assert_array_equal(data.train_images, images[[1, 1, 0, 0], [1, 0, 1, 0]])
    assert data.train_labels.tolist() == [0, 0, 1, 1]
    assert (data.class_names, data.test_images.shape) == (("a", "b"), (2, 5, 6, 3))

    Image.fromarray(images[0, 0, :4]).save(tmp_path / "val" / "a" / "z.png")
    with pytest.raises(InputError, match=r"val/a/z.png: expected images of one size, 5x6 as .*4x6"):
        load(one_size)
    (tmp_path / "val" / "a" / "z.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"val/a/z.png: not an image that can be decoded"):
        load(one_size)
    (tmp_path / "val" / "c").mkdir()
    with pytest.raises(InputError, match=r"val/c: expected only classes that 'train' has"):
        load(one_size)
    with pytest.raises(InputError, match=r"expected a folder of class folders at .*/test"):
        load(settings("image_folder", tmp_path))
    (tmp_path / "train" / "c").mkdir()
    with pytest.raises(InputError, match="train/c: expected image files"):
        load(one_size)


def test_grey_folders_have_one_channel(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(np.full((4, 4), 77, np.uint8)).save(tmp_path / split / "a" / "x.png")
    data = load(settings("image_folder", tmp_path, image_size=None, resize=None))
    assert data.train_images.shape == (1, 4, 4, 1)
    assert (data.train_images == 77).all()


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
