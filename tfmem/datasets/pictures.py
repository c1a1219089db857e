"""Pictures of examples, for figures and pages."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfmem.datasets.dataset import Dataset
from tfmem.datasets.squares import center_square
from tfmem.datasets.streamed import AnyDataset, StreamedDataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.datasets.text import TextDataset

_AT_ONCE = 16 << 20  # bytes of images whose range is sought at a time
_HUGE = 1e300  # larger values are cut, so that their differences stay finite
_PAGE, _FONT, _COLUMNS, _LINES = 240, 17, 24, 11  # pixels, pixels, letters, lines


class Pictures:
    """A picture of each example of a split, `[height, width, channels]` with values in [0, 1]."""

    def __init__(self, dataset: AnyDataset, split: str) -> None:
        """Takes the data set and its split, `train` or `test`."""
        self._dataset = dataset
        kind = "texts" if isinstance(dataset, TextDataset) else "images"
        if isinstance(dataset, StructuredDataset):
            kind = "inputs"
        self._split = split
        self._examples = getattr(dataset, f"{split}_{kind}")
        self._range = _shown_range(dataset) if isinstance(dataset, Dataset) else (0.0, 1.0)

    def __getitem__(self, index: int) -> np.ndarray:
        """The picture of example `index`.

        An image is shown as models see it. A text is shown as a page of its first words, features
        as a square of greys from their least value to the largest, columns as a list of their
        values, and an example of which only the label is known by its name.
        """
        match self._dataset:
            case TextDataset():
                return _page(self._examples[index])
            case StreamedDataset() as streamed:
                square = center_square(self._examples, index, streamed.image_size, streamed.resize)
                return np.clip(square / streamed.white, 0.0, 1.0)
            case StructuredDataset() as known if not self._examples:
                names = getattr(known, f"{self._split}_ids")
                return _page([f"{self._split} {index}" if names is None else str(names[index])])
            case StructuredDataset():
                return _page(
                    [_line(name, found[index]) for name, found in self._examples.items()], "\n"
                )
            case Dataset():
                return _array_picture(self._examples[index], *self._range)


def _shown_range(dataset: Dataset) -> tuple[float, float]:
    """The values that are shown as black and as white.

    Models of a user's own see images as they are given, with a white of 1. If these are no numbers
    from 0 to 1, black and white are the least and the largest of the training examples, or 0 and
    255 where they are bytes.
    """
    images, white = dataset.train_images, dataset.white
    if white != 1 or images.dtype == np.uint8:
        return 0.0, 255.0 if white == 1 else float(white)
    least, most = 0.0, 1.0
    rows = max(1, _AT_ONCE // max(1, images[:1].nbytes))
    for start in range(0, len(images), rows):  # images may be larger than memory
        part = np.asarray(images[start : start + rows])
        part = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        least = min(least, float(part.min(initial=0)))
        most = max(most, float(part.max(initial=1)))
    return least, most


def _array_picture(values: np.ndarray, black: float, white: float) -> np.ndarray:
    """The picture of one array; infinite values count as its largest or least value, NaN as 0."""
    example = np.clip(np.nan_to_num(np.asarray(values, np.float64)), -_HUGE, _HUGE)
    if example.ndim == 2:
        example = example[..., None]
    if example.ndim == 3:
        return _in_colour(np.clip((example - black) / (white - black), 0.0, 1.0))
    values = example.ravel() - example.min()
    side = int(np.ceil(np.sqrt(values.size)))
    square = np.zeros(side * side)
    square[: values.size] = values / (values.max() or 1.0)
    return square.reshape(side, side, 1)


def _in_colour(picture: np.ndarray) -> np.ndarray:
    """Returns one or three channels: a fourth is taken as alpha, other numbers are averaged."""
    match picture.shape[-1]:
        case 1 | 3:
            return picture
        case 4:
            alpha = picture[..., 3:]
            return picture[..., :3] * alpha + (1 - alpha)
    return picture.mean(axis=-1, keepdims=True)


def _line(name: str, value: Any) -> str:
    """The value of one input of an example, in a line."""
    if np.ndim(value):
        return f"{name}: {list(np.shape(value))}"
    return f"{name}: {value:.4g}" if isinstance(value, np.floating) else f"{name}: {value}"


def _page(sentences: Sequence[str], between: str = "\n\n") -> np.ndarray:
    """A page with sentences, 1 where there is ink; a text that is too long ends in dots."""
    sentences = sentences[:_LINES]
    share = max(1, (_LINES - len(sentences) + 1) // len(sentences))
    parts = [textwrap.fill(text, _COLUMNS, max_lines=share, placeholder=" …") for text in sentences]
    page = Image.new("L", (_PAGE, _PAGE), 255)
    font = ImageFont.load_default(_FONT)
    ImageDraw.Draw(page).multiline_text((8, 8), between.join(parts), fill=0, font=font)
    return 1 - np.asarray(page, np.float64)[..., None] / 255
