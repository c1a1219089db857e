"""Figures that show attributions in the words of texts and over the patches of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from tfmem.figures.galleries import Images
from tfmem.figures.style import GREY, literal, new_figure
from tfmem.messages.numbers import three
from tfmem.messages.terminal import printable

_SCALE = "PuOr_r"  # orange above 0, purple below; people with colour blindness can tell them apart
_LINE = 84  # characters of a line
_INCHES = 0.095  # width of a character
_HEIGHT = 0.42  # inches of a line of words with values


@dataclass(frozen=True)
class Highlighted:
    """A text with its attributions.

    Attributes:
      label: the name of the text's class.
      memorization: the estimated memorization of the text.
      words: the words in order.
      scores: float `[words]`, the attribution of each word.
      sentences: int `[words]`, the sentence of each word.
    """

    label: str
    memorization: float
    words: Sequence[str]
    scores: np.ndarray
    sentences: np.ndarray


def highlighted_words(texts: Sequence[Highlighted]) -> Figure:
    """Draws texts whose words are coloured by attribution (Zheng & Jiang 2022, Tables 4 and 6).

    Under each word stands its share of the text's largest attribution, in percent; a word whose
    share is NaN is left plain.
    """
    laid = [_lines(text.words, text.sentences) for text in texts]
    height = sum(len(lines) + 0.9 for lines in laid) * _HEIGHT + 0.3
    figure = Figure(figsize=(_LINE * _INCHES + 0.4, height))
    axes = figure.add_axes((0.02, 0.01, 0.96, 0.98))
    axes.set(xlim=(0, _LINE), ylim=(height / _HEIGHT, 0))
    axes.set_axis_off()
    y = 0.5
    for text, lines in zip(texts, laid, strict=True):
        heading = f"{literal(text.label)}, memorization {three(text.memorization)}"
        axes.text(0, y, heading, fontsize=8, color=GREY, va="center")
        shares = _shares(text.scores)
        for line in lines:
            y += 1
            for place, number in line:
                _word(axes, place, y - 0.2, text.words[number], shares[number])
        y += 0.9
    return figure


def _lines(words: Sequence[str], sentences: np.ndarray) -> list[list[tuple[int, int]]]:
    """Returns, for each line, the starting column and the number of each of its words."""
    lines: list[list[tuple[int, int]]] = [[]]
    column = 0
    for number, word in enumerate(words):
        width = max(len(word), 3) + 1
        begins = number > 0 and sentences[number] != sentences[number - 1]
        if lines[-1] and (begins or column + width > _LINE):
            lines.append([])
            column = 0
        lines[-1].append((column, number))
        column += width
    return lines


def _shares(scores: np.ndarray) -> np.ndarray:
    largest = np.abs(scores).max(initial=0)
    return scores / largest if largest > 0 else scores


def _word(axes: Axes, x: float, y: float, word: str, share: float) -> None:
    colour, ink = (1.0, 1.0, 1.0), "black"
    if not np.isnan(share):
        red, green, blue, _ = matplotlib.colormaps[_SCALE](0.5 + share / 2)
        colour = (red, green, blue)
        ink = "white" if 0.3 * red + 0.59 * green + 0.11 * blue < 0.5 else "black"
    box = {"facecolor": colour, "edgecolor": "none", "boxstyle": "square,pad=0.15"}
    middle = x + max(len(word), 3) / 2
    axes.text(
        middle, y, printable(word), fontsize=8, family="monospace", ha="center", va="center",
        color=ink, bbox=box, parse_math=False,
    )  # fmt: skip
    if not np.isnan(share):
        percent = f"{round(100 * share)}"
        axes.text(middle, y + 0.45, percent, fontsize=5.5, ha="center", va="center", color=GREY)


def highlighted_patches(
    images: Images,
    scores: Sequence[np.ndarray],
    titles: Sequence[str],
    columns: int = 5,
) -> Figure:
    """Draws images, and below each its patches by attribution (Zheng & Jiang 2022, Fig. 3).

    Args:
      images: `[height, width, channels]` with values from 0 to 1, one for each of `scores`.
      scores: float `[rows, columns]`; the last patches may reach beyond the image.
      titles: the title above each image.
      columns: number of images in a row.
    """
    rows = -(-len(scores) // columns)
    figure = new_figure(1.5 * columns + 0.8, 3.3 * rows)
    grid = figure.subplots(2 * rows, columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for number, values in enumerate(scores):
        row, column = divmod(number, columns)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        image = images[number]
        height, width = image.shape[:2]
        grey = image.mean(axis=-1)
        above.imshow(image if image.shape[-1] == 3 else 1 - grey, cmap="gray", vmin=0, vmax=1)
        above.set_title(literal(titles[number]), fontsize=8)
        patch = -(-height // values.shape[0])
        shown = _shares(values).repeat(patch, axis=0).repeat(patch, axis=1)[:height, :width]
        below.imshow(1 - grey, cmap="gray", vmin=0, vmax=1)
        below.imshow(shown, cmap=_SCALE, vmin=-1, vmax=1, alpha=0.75)
    scale = ScalarMappable(Normalize(-1, 1), _SCALE)
    bar = figure.colorbar(scale, ax=grid, shrink=0.6, aspect=30)
    bar.set_label("attribution, as a share of the image's largest", fontsize=8)
    return figure
