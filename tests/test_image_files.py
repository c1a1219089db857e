"""One decoder gives the same pixels in memory, streamed to models and on pages."""

import io
import struct
import zlib
from functools import partial

import numpy as np
import pytest
from PIL import Image

from tests.helpers.photographs import decoded, settings
from tfmem.datasets import load
from tfmem.datasets.encoded import described
from tfmem.datasets.pictures import Pictures
from tfmem.datasets.pixels import Trait, decode, read_header
from tfmem.datasets.squares import part, scaled
from tfmem.messages.errors import InputError
from tfmem.pages.sprites import sprites

SIDE = 13
FORMS = {
    "png": ("1", "L", "LA", "P", "P+transparent", "RGB", "RGBA", "I;16"),
    "jpg": ("L", "RGB", "CMYK"),
    "bmp": ("1", "L", "P", "RGB", "RGBA"),
    "gif": ("1", "L", "P", "P+transparent"),
    "webp": ("RGB", "RGBA"),
    "tif": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"),
}


def picture(mode, height=SIDE, width=SIDE):
    rng = np.random.default_rng(0)
    channels = Image.getmodebands(mode.partition("+")[0])
    values = rng.integers(0, 256, (height, width, channels), np.uint8)
    match mode:
        case "I;16":
            return Image.fromarray(rng.integers(0, 1 << 16, (height, width), np.uint16))
        case "1":
            return Image.fromarray(values[..., 0] > 99)
        case "P" | "P+transparent":
            image = Image.fromarray(values[..., 0] % 7, "P")
            image.putpalette(rng.integers(0, 256, 21, np.uint8).tobytes())
            return image
    return Image.fromarray(values.squeeze(), mode)


def by_hand(image, transparent=None):
    """Converts an image to float pixels `[height, width, 3]` by the meaning of its mode."""
    match image.mode:
        case "I;16":
            return np.repeat(np.asarray(image)[..., None] // 256, 3, axis=2)
        case "P":
            colours = np.array(image.getpalette()).reshape(-1, 3)
            if transparent is not None:
                colours[transparent] = 255
            return colours[np.asarray(image)]
        case "1":
            return np.repeat(255 * np.asarray(image)[..., None], 3, axis=2)
        case "CMYK":
            ink = np.asarray(image) / 255
            return 255 * (1 - ink[..., :3]) * (1 - ink[..., 3:])
    values = np.asarray(image).reshape(*image.size[::-1], -1).astype(float)
    if image.mode in ("LA", "RGBA"):
        alpha = values[..., -1:] / 255
        values = values[..., :-1] * alpha + 255 * (1 - alpha)
    return np.broadcast_to(values, (*values.shape[:2], 3))


def png16(values, kind):
    """Encodes uint16 `[height, width, c]` as a PNG file of 16 bits, which Pillow cannot do."""

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    )


def write_forms(folder):
    """Writes an image in every form and mode; returns the expected pixels by file name."""
    folder.mkdir(parents=True)
    expected = {}
    for suffix, modes in FORMS.items():
        for mode in modes:
            image, name = picture(mode), f"{mode}.{suffix}"
            options = {"transparency": 2} if mode == "P+transparent" else {}
            image.save(folder / name, **options, **{"lossless": True} if suffix == "webp" else {})
            expected[name] = by_hand(image, options.get("transparency"))
    expected["RGBA.bmp"] = np.asarray(picture("RGBA"))[..., :3]  # its fourth byte is padding
    values = np.random.default_rng(1).integers(0, 1 << 16, (SIDE, SIDE, 4), np.uint16)
    values[..., 3] = 65535  # opaque
    for kind, channels in ((0, 1), (2, 3), (6, 4)):
        name = f"sixteen{kind}.png"
        (folder / name).write_bytes(png16(values[..., :channels], kind))
        expected[name] = np.broadcast_to(values[..., : min(channels, 3)] >> 8, (SIDE, SIDE, 3))
    return expected


def test_forms_and_modes_are_read_alike_in_memory_streamed_and_for_pages(tmp_path):
    expected = write_forms(tmp_path / "train" / "a")
    for other in ("train/b", "test/a"):
        write_forms(tmp_path / other)
    memory = load(settings("image_folder", tmp_path, image_size=None, resize=None))
    stream = load(settings("image_folder", tmp_path, image_size=SIDE, resize=SIDE))
    streamed = np.concatenate(decoded(stream, "train", range(len(expected))))
    pages = [Pictures(data, "train") for data in (memory, stream)]
    assert len(memory.train_images) == 2 * len(expected)
    for row, name in enumerate(sorted(expected)):
        pixels = memory.train_images[row]
        np.testing.assert_array_equal(streamed[row], pixels, name)
        for page in pages:
            np.testing.assert_array_equal(page[row], pixels / 255, name)
        if not name.endswith("jpg"):  # the others are lossless
            exact = "A" not in name and "CMYK" not in name
            np.testing.assert_allclose(pixels, expected[name], atol=0 if exact else 1, err_msg=name)
    assert stream.notes == memory.notes
    assert (
        "train: 10 images are of 16 bits a channel, of which the higher 8 are used" in memory.notes
    )


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path, suffix, orientation):
    from PIL import ImageOps

    upright = picture("RGB", 5, 4).resize((24, 40), Image.Resampling.BICUBIC)
    undo = {6: 8, 8: 6}.get(orientation, orientation)
    stored = upright.copy()
    stored.getexif()[0x0112] = undo
    stored = ImageOps.exif_transpose(stored)  # how a camera held that way would store it
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    options = {"lossless": True} if suffix == "webp" else {}
    stored.save(file, Image.registered_extensions()[f".{suffix}"], exif=exif, **options)
    header = read_header(file.getvalue(), "x")
    assert (header.height, header.width) == (40, 24)
    assert bool(header.traits & Trait.TURNED) == (orientation > 1)
    pixels = np.asarray(decode(file.getvalue(), "x"), float)
    assert np.abs(pixels - upright).mean() < (10 if suffix == "jpg" else 1e-9)


def encoded(image, form="JPEG", **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


class Held:
    """Encoded images in memory, with the interface of `EncodedImages`."""

    def __init__(self, contents):
        found = described([(b"\0" * 16, read_header(each, "x")) for each in contents])
        self.sizes, self.traits, self.read = found["sizes"], found["traits"], contents.__getitem__

    def where(self, index):
        return f"image {index}"


def test_tensorflow_decodes_plain_jpeg_to_the_same_bit(photos):
    """TensorFlow may decode any part at any scale, so training need not wait for Pillow."""
    import tensorflow as tf

    from tfmem.datasets.decoding import decode_window as decode_by_tensorflow
    from tfmem.datasets.windows import RATIOS, widened

    rng = np.random.default_rng(0)
    source = Image.open(next((photos / "train" / "china").iterdir())).convert("RGB")
    source = source.resize((181, 143))
    options = [{"subsampling": s, "progressive": p} for s in (0, 1, 2, "4:1:1") for p in (0, 1)]
    contents = [encoded(source, quality=int(rng.integers(40, 97)), **each) for each in options]
    contents += [encoded(source.convert("L")), encoded(source, keep_rgb=True)]
    images = Held(contents)
    for index, jpeg in enumerate(contents):
        assert images.traits[index] & Trait.PLAIN
        for which, ratio in enumerate(RATIOS.tolist()):
            whole = images.sizes[index] // ratio
            for _ in range(3):
                corner = rng.integers(0, whole)
                window = np.int32([*corner, *rng.integers(1, whole - corner + 1)])
                whole_part, inner = widened(window[None], -(-images.sizes[[index]] // ratio))
                theirs = decode_by_tensorflow(
                    tf.constant(jpeg), tf.constant(which), whole_part[0], inner[0], 10
                )
                ours = scaled(part(images, index, ratio, window), 10)
                np.testing.assert_array_equal(ours, theirs.numpy(), f"{index} {ratio} {window}")


@pytest.mark.parametrize("ratio", [1, 2, 4, 8])
def test_images_are_averaged_over_whole_blocks_of_the_upright_image(ratio):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = picture("RGB", 61, 90)
    turned, plain, lossless = (encoded(stored, exif=exif), encoded(stored), encoded(stored, "PNG"))
    upright = decode(plain, "x", ratio).transpose(Image.Transpose.ROTATE_270)
    assert decode(turned, "x", ratio).tobytes() == upright.tobytes()
    assert upright.size == (61 // ratio, 90 // ratio)
    images = Held([turned, lossless])
    assert not (images.traits & Trait.PLAIN).any()
    assert images.sizes.tolist() == [[90, 61], [61, 90]]
    top, left, high, wide = 2, 3, 4, 3
    box = (left * ratio, top * ratio, (left + wide) * ratio, (top + high) * ratio)
    window = np.array([top, left, high, wide])
    np.testing.assert_array_equal(part(images, 1, ratio, window), stored.reduce(ratio, box))
    crop = upright.crop((left, top, left + wide, top + high))
    np.testing.assert_array_equal(part(images, 0, ratio, window), crop)


@pytest.mark.filterwarnings("ignore:.*EXIF")
def test_damaged_images_are_refused_by_name_or_decoded():
    rng, image = np.random.default_rng(7), picture("RGB")
    forms = [("PNG", {}), ("JPEG", {}), ("BMP", {}), ("GIF", {}), ("WEBP", {})]
    forms += [("TIFF", {"compression": each}) for each in ("raw", "tiff_lzw", "jpeg")]
    refused = []
    for form, options in forms:
        whole = encoded(image, form, **options)
        for _ in range(40):
            damaged = bytearray(whole[: rng.integers(1, 2 * len(whole))])
            for place in rng.integers(0, min(len(damaged), 200), rng.integers(1, 6)):
                damaged[place] = rng.integers(256)
            for read in (partial(read_header, whole=True), partial(decode, ratio=2)):
                try:
                    read(bytes(damaged), "this.png")
                except InputError as error:
                    refused.append(str(error))
    assert 100 < len(refused) < 640
    assert all(each.startswith("this.png: ") for each in refused)


def test_values_that_no_picture_can_show_are_shown_without_a_warning(recwarn):
    from tfmem.datasets import Dataset

    inf, nan = np.inf, np.nan
    for values in (
        np.array([[[[nan], [inf], [-inf]]]]),
        np.array([[nan, 1.0, inf, -inf]]),
        np.array([[1.7e308, -1.7e308]]),
        np.full((1, 3), nan),
        np.full((1, 2, 3, 4), 0.5),
        np.full((1, 2, 3, 5), 0.5),
        np.full((1, 1, 200, 3), 0.5),
        np.full((1, 28, 28), -3),
    ):
        zeros = np.zeros(1, np.int64)
        white = 1 if values.dtype.kind == "f" else 255
        data = Dataset("odd", values, zeros, values, zeros, ("a",), white)
        picture = Pictures(data, "train")[0]
        assert picture.shape[-1] in (1, 3)
        assert ((picture >= 0) & (picture <= 1)).all()
        sprites(Pictures(data, "train"), [0])
    assert not recwarn.list
