import io
import os
import struct
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from tests.helpers.photographs import settings
from tfmem.datasets import load
from tfmem.datasets.image_folder import load_image_folder
from tfmem.messages.errors import InputError


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
    data = in_memory(tmp_path)
    assert data.train_images.shape == (1, 4, 4, 1)
    assert (data.train_images == 77).all()


def in_memory(folder):
    return load_image_folder(folder, settings("image_folder", folder, image_size=None, resize=None))


def streamed(folder):
    return load_image_folder(folder, settings("image_folder", folder))


@pytest.fixture
def folder(tmp_path):
    """Three grey images of class `a` in each split."""
    for split in ("train", "test"):
        (tmp_path / split / "a").mkdir(parents=True)
        for name in "xyz":
            Image.fromarray(np.full((4, 4), 77, np.uint8)).save(
                tmp_path / split / "a" / f"{name}.png"
            )
    return tmp_path


@pytest.mark.parametrize("read", [in_memory, streamed])
def test_what_is_left_out_is_counted_by_kind(folder, read):
    assert read(folder).notes == ()
    place = folder / "train" / "a"
    for name in ("1.txt", "2.TXT", "README", ".DS_Store", "x.\x1b[2J", "../Thumbs.db"):
        (place / name).write_text("")
    (place / "more").mkdir()
    (place / "more.png").mkdir()
    (folder / "train" / ".ipynb_checkpoints").mkdir()
    assert read(folder).notes == (
        "train: left out 2 .txt files, 2 folders, 2 hidden files, 1 file without a suffix, 1 .db "
        "file, 1 other file",
    )


@pytest.mark.parametrize("read", [in_memory, streamed])
def test_all_bad_files_are_named_in_one_error(folder, read):
    good = (folder / "train" / "a" / "x.png").read_bytes()
    place = folder / "test" / "a"
    (place / "1.png").write_bytes(good[:-20])
    (place / "2.png").write_bytes(b"")
    (place / "3.png").symlink_to(folder / "nowhere")
    os.mkfifo(place / "4.png")
    (place / "5.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.fromarray(np.zeros((3, 3), np.float32)).save(place / "6.tif")
    os.rename(os.fsencode(place / "1.png"), os.fsencode(place) + b"/caf\xe9.png")
    (folder / "train" / "a" / "0.jpg").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InputError) as error:
        read(folder)
    first, *lines = str(error.value).splitlines()
    assert first == "7 image files cannot be used:"
    found = [line.removeprefix(str(folder) + "/").partition(": ") for line in lines]
    assert [(name, why[:29]) for name, _, why in found] == [
        ("train/a/0.jpg", "expected an image in JPEG, PN"),
        ("test/a/2.png", "expected an image, received a"),
        ("test/a/3.png", "cannot be read: No such file "),
        ("test/a/4.png", "expected an image file, found"),
        ("test/a/5.png", "expected an image in JPEG, PN"),
        ("test/a/6.tif", "expected 8 or 16 bits a chann"),
        (r"test/a/caf\xe9.png", "an image that cannot be decod"),
    ]
    for number in range(30):
        (place / f"1{number}.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"37 image files.*(\n.*){20}\n… and 17 more$"):
        read(folder)


def test_names_of_classes_must_be_utf_8(folder):
    os.mkdir(os.fsencode(folder) + b"/train/caf\xe9")
    with pytest.raises(InputError, match=r"class folders in UTF-8, received b'caf\\xe9'"):
        in_memory(folder)


def huge(form, width, height):
    """Makes a small file that claims to be large."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(file, form)
    data = bytearray(file.getvalue())
    match form:
        case "PNG":
            data[16:24] = struct.pack(">II", width, height)
            data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
        case "BMP":
            data[18:26] = struct.pack("<ii", width, height)
        case "GIF":
            data[6:10] = struct.pack("<HH", width, height)
        case "JPEG":
            at = data.index(b"\xff\xc0") + 5
            data[at : at + 4] = struct.pack(">HH", height, width)
        case "WEBP":
            sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
            data[12:12] = b"VP8X" + struct.pack("<II", 10, 0) + sides
    return bytes(data)


def tiled(side, tile):
    """Makes a TIFF image of one compressed grey tile."""
    pixels = zlib.compress(bytes(1000))
    tags = {256: side, 257: side, 258: 8, 259: 8, 262: 1, 277: 1, 322: tile, 323: tile,
            324: 8, 325: len(pixels)}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(pixels)) + pixels + directory


@pytest.mark.parametrize("read", [in_memory, streamed])
def test_no_memory_is_taken_for_what_a_header_says(folder, read):
    place, names = folder / "train" / "a", []
    sides = {"PNG": 1 << 30, "BMP": 1 << 30, "GIF": 65535, "JPEG": 65535, "WEBP": 1 << 24}
    for form, side in sides.items():
        names.append(f"{form}.png")
        (place / names[-1]).write_bytes(huge(form, side, side))
    (place / "tiles.tif").write_bytes(tiled(4, 1 << 15))
    with pytest.raises(InputError) as error:
        read(folder)
    said = str(error.value)
    for name in [*names, "tiles.tif"]:
        assert f"{name}: " in said
    assert said.count("at most 89,478,485 pixels") == 5
    assert "received tiles of 32768 x 32768" in said


def test_images_that_do_not_fit_in_memory_are_refused_before_it_is_taken(folder, monkeypatch):
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=95))
    with pytest.raises(InputError, match=r"6 images of 4x4 take .* set dataset.image_size"):
        in_memory(folder)
