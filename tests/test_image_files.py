"""One decoder: what is in memory, what models are streamed and what a page shows are the same."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from tests.photographs import decoded, settings
from tfmem.datasets import load
from tfmem.datasets.pictures import Pictures

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
    """Float pixels `[height, width, 3]` of an image in memory, from what its mode means."""
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


def three_ways(root, side=SIDE):
    """Pixels uint8 `[1, side, side, 3]` in memory, streamed, and on both pages."""
    memory = load(settings("image_folder", root, image_size=None, resize=None))
    stream = load(settings("image_folder", root, image_size=side, resize=side))
    pages = [np.rint(Pictures(data, "train")[0] * 255) for data in (memory, stream)]
    pixels = [memory.train_images[0], decoded(stream, "train", [0])[0][0], *pages]
    return [np.broadcast_to(each, (*each.shape[:2], 3)).astype(np.uint8) for each in pixels]


def save(image, root, name, **options):
    """As the only training and the only test image."""
    for split in ("train", "test"):
        (root / split / "a").mkdir(parents=True, exist_ok=True)
        image.save(root / split / "a" / name, **options)


@pytest.mark.parametrize(("suffix", "mode"), [(s, m) for s, modes in FORMS.items() for m in modes])
def test_all_paths_give_the_pixels_that_the_mode_means(tmp_path, suffix, mode):
    image, options = picture(mode), {}
    if mode == "P+transparent":
        options["transparency"] = 2
    if suffix == "webp":
        options["lossless"] = True
    save(image, tmp_path, f"x.{suffix}", **options)
    memory, *others = three_ways(tmp_path)
    for other in others:
        np.testing.assert_array_equal(other, memory)
    if suffix == "jpg":
        return  # lossy
    expected = by_hand(image, options.get("transparency"))
    if mode == "RGBA" and suffix == "bmp":
        expected = np.asarray(image)[..., :3]  # Pillow reads the fourth byte as padding
    np.testing.assert_allclose(memory, expected, atol=1)
    if "A" not in mode and mode != "CMYK":
        np.testing.assert_array_equal(memory, expected)
