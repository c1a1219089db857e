"""Figures of test examples with the training examples that their predictions are attributed to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfmem.figures.galleries import Images
from tfmem.figures.style import BLUE, GREY, VERMILION, literal, new_figure
from tfmem.messages.numbers import four

_CAPTION = 14  # characters of a class name under a picture


@dataclass(frozen=True)
class AttributedTest:
    """A test example, and training examples with the largest and the least scores for it.

    Attributes:
      test: index of the test example.
      name: its class, or its own name.
      train: int64 `[count]`, the training examples, the most helpful first.
      scores: float64 `[count]`, positive where the training example helps.
      names: their classes, or their own names.
    """

    test: int
    name: str
    train: np.ndarray
    scores: np.ndarray
    names: Sequence[str]


def attributed_tests(
    train_images: Images, test_images: Images, rows: Sequence[AttributedTest], method: str
) -> Figure:
    """Draws each test example on the left, and beside it those that help and those that harm.

    Args:
      train_images: training examples by index, `[height, width, channels]` with values in [0, 1].
      test_images: test examples by index, in the same form.
      rows: the test examples.
      method: what the scores are by.
    """
    columns = 1 + max(len(row.train) for row in rows)
    figure = new_figure(1.15 * columns + 0.3, 1.75 * len(rows) + 0.3)
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, row in zip(grid, rows, strict=True):
        _picture(line[0], test_images[row.test], f"test {row.test}", row.name, "black")
        shown = zip(line[1:], row.train, row.scores, row.names, strict=False)
        for axes, train, score, name in shown:
            color = BLUE if score > 0 else VERMILION if score < 0 else GREY
            _picture(axes, train_images[int(train)], four(score), f"{train}, {name}", color)
    figure.suptitle(f"scores by {literal(method)}: blue helps, red harms", fontsize=9)
    return figure


def _picture(axes: Axes, image: np.ndarray, above: str, below: str, color: str) -> None:
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image, cmap="gray_r" if grey else None, vmin=0, vmax=1)
    height, width = image.shape[:2]
    axes.text(width / 2, height * 1.02, literal(below, _CAPTION), ha="center", va="top", fontsize=7)
    axes.set_title(above, fontsize=8, color=color, pad=2)
