"""Cuts the square of an image that models see, without TensorFlow but with the same bytes."""

from __future__ import annotations

import numpy as np

from tfmem.datasets.encoded import EncodedImages
from tfmem.datasets.pixels import decode
from tfmem.datasets.windows import RATIOS, windows_in_blocks
from tfmem.messages.errors import InputError


def center_square(images: EncodedImages, index: int, image_size: int, resize: int) -> np.ndarray:
    """The centre square of image `index`, whose shorter side is first brought to `resize`.

    Args:
      images: encoded images.
      index: index of the image.
      image_size: side of the square.
      resize: length to which the shorter side is scaled.

    Returns:
      uint8 `[image_size, image_size, 3]`.

    Raises:
      InputError: if the file cannot be read or decoded; the error names it.
    """
    sizes = images.sizes[[index]]
    which, windows = windows_in_blocks(sizes, image_size, resize)
    return scaled(part(images, index, int(RATIOS[which[0]]), windows[0]), image_size)


def part(images: EncodedImages, index: int, ratio: int, window: np.ndarray) -> np.ndarray:
    """A window of image `index`, in which blocks of pixels are averaged.

    Args:
      images: encoded images.
      index: index of the image.
      ratio: side of the blocks that are averaged.
      window: int `[4]`, top, left, height and width in blocks.

    Returns:
      uint8 `[height, width, 3]`.

    Raises:
      InputError: if the file cannot be read or decoded; the error names it.
    """
    where = images.where(index)
    picture = decode(images.read(index), where, ratio)
    height, width = images.sizes[index] // ratio
    if picture.size != (width, height):
        raise InputError(
            f"{where}: changed since it was indexed: expected {width} x {height} blocks of {ratio} "
            f"pixels, received {picture.width} x {picture.height}"
        )
    top, left, high, wide = window.tolist()
    return np.asarray(picture.crop((left, top, left + wide, top + high)).convert("RGB"))


def scaled(pixels: np.ndarray, image_size: int) -> np.ndarray:
    """Scales an image to a square by bilinear interpolation.

    Args:
      pixels: uint8 `[height, width, channels]`.
      image_size: side of the square.

    Returns:
      uint8 `[image_size, image_size, channels]`, as TensorFlow's `ResizeBilinear` with half-pixel
      centres gives, computed in float32 by the same operations, and rounded.
    """
    values = pixels.astype(np.float32)
    for axis in (1, 0):
        low, high, share = _neighbours(pixels.shape[axis], image_size)
        share = share.reshape(-1, 1) if axis else share.reshape(-1, 1, 1)
        before = values.take(low, axis)
        values = before + (values.take(high, axis) - before) * share
    return (values + np.float32(0.5)).astype(np.uint8)


def _neighbours(length: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of `count` points along a side, the pixels before and behind, and its distance."""
    scale = np.float32(length) / np.float32(count)
    place = (np.arange(count, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    floor = np.floor(place)
    low, high = np.maximum(floor, 0), np.minimum(np.ceil(place), length - 1)
    return low.astype(np.int64), high.astype(np.int64), place - floor
