import numpy as np
import pytest
from PIL import Image

from tests.photographs import settings
from tfmem.datasets import load
from tfmem.errors import InputError


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
    with pytest.raises(InputError, match=r"val/a/z.png: expected an image in .* begin b'no'"):
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
