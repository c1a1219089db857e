"""Puts many small pictures into a few images, of which a page shows single cells."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tfmem.datasets.pictures import Pictures

_COLUMNS, _CELLS = 32, 1024
_LOSSLESS = 48  # largest side in pixels of pictures that are kept as PNG; larger ones are JPEG
_LARGEST = 96  # largest side in pixels; larger pictures are scaled down


@dataclass(frozen=True)
class Sheet:
    """Pictures of equal size, row by row.

    Attributes:
      suffix: `png` or `jpg`.
      encoded: the image file.
      columns: number of pictures in a full row.
      rows: number of rows.
    """

    suffix: str
    encoded: bytes
    columns: int
    rows: int


@dataclass(frozen=True)
class Sprites:
    """Sheets that hold the pictures of some examples, in their order.

    Attributes:
      sheets: all but the last hold 1,024 pictures.
      aspect: width of a picture divided by its height.
    """

    sheets: tuple[Sheet, ...]
    aspect: float

    def place(self, position: int) -> tuple[int, str]:
        """The sheet of a picture, and its place there as CSS's `background-position`."""
        number, cell = divmod(position, _CELLS)
        row, column = divmod(cell, _COLUMNS)
        sheet = self.sheets[number]
        x, y = column / max(sheet.columns - 1, 1), row / max(sheet.rows - 1, 1)
        return number, f"{100 * x:.4f}% {100 * y:.4f}%"

    def save(self, folder: Path, name: str) -> list[str]:
        """Writes `NAME-0.png` and so on; returns their names."""
        names = []
        for number, sheet in enumerate(self.sheets):
            names.append(f"{name}-{number}.{sheet.suffix}")
            (folder / names[-1]).write_bytes(sheet.encoded)
        return names


def sprites(pictures: Pictures, index: Sequence[int]) -> Sprites:
    """Puts the pictures of some examples on sheets; those of one channel look like ink on paper.

    Args:
      pictures: the pictures of one split, all of one size.
      index: the indices of the examples, in order.
    """
    parts = [index[start : start + _CELLS] for start in range(0, len(index), _CELLS)]
    aspect = 1.0
    sheets = []
    for part in parts:
        cells = [_pixels(pictures[each]) for each in part]
        height, width = cells[0].shape[:2]
        aspect = width / height
        columns = min(_COLUMNS, len(cells))
        rows = -(-len(cells) // columns)
        whole = np.full((rows, columns, *cells[0].shape), 255, np.uint8)
        for number, cell in enumerate(cells):
            whole[divmod(number, columns)] = cell
        image = whole.swapaxes(1, 2).reshape(rows * height, columns * width, -1)
        sheets.append(_encode(image, max(height, width) > _LOSSLESS, columns, rows))
    return Sprites(tuple(sheets), aspect)


def _pixels(picture: np.ndarray) -> np.ndarray:
    pixels = np.round(picture * 255).astype(np.uint8)
    if pixels.shape[-1] == 1:
        pixels = 255 - pixels
    if max(pixels.shape[:2]) > _LARGEST:
        small = _image(pixels)
        small.thumbnail((_LARGEST, _LARGEST))
        pixels = np.asarray(small).reshape(small.height, small.width, -1)
    return pixels


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def _encode(image: np.ndarray, photograph: bool, columns: int, rows: int) -> Sheet:
    file = io.BytesIO()
    picture = _image(image)
    if photograph:
        picture.save(file, "JPEG", quality=85)
    else:
        picture.save(file, "PNG", optimize=True)
    return Sheet("jpg" if photograph else "png", file.getvalue(), columns, rows)
