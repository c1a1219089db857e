"""Pictures of examples with their estimates, chosen by rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES, Units
from tfmem.figures.style import FAINT, GREY, PALE, literal

_LEVELS = (0.0, 0.5, 1.0)
_NEAR = 0.15  # an example further from its level has a grey caption
_NAME = 18  # characters of a class name that fit in a picture's caption
_CELL = 1.3  # height of a picture with its caption, in units of the picture's width


class Images(Protocol):
    """Pictures by index: an array, or an object that makes each picture when it is used."""

    def __getitem__(self, index: int) -> np.ndarray:
        """The picture of example `index`, `[height, width, channels]`."""


class _Sheet:
    """A page of equal pictures with captions, placed in units of a picture's width."""

    def __init__(self, width: float, rows: int, inches: float) -> None:
        height = rows * _CELL + 0.6
        self.figure = Figure(figsize=(width * inches, height * inches))
        self._axes = self.figure.add_axes((0, 0, 1, 1))
        self._axes.set(xlim=(0, width), ylim=(height, 0), aspect="equal")
        self._axes.set_axis_off()

    def heading(self, x: float, text: str) -> None:
        """Writes above the first row, centred on `x`."""
        self._axes.text(x, 0.25, text, ha="center", va="center", fontsize=9)

    def label(self, x: float, row: int, text: str) -> None:
        """Writes to the left of `x`, at the height of a row's pictures."""
        y = 0.6 + row * _CELL + 0.25 + 0.5
        self._axes.text(x, y, text, ha="right", va="center", fontsize=9)

    def picture(
        self, x: float, row: int, image: np.ndarray, caption: str, color: str = "black"
    ) -> None:
        """Shows an image with a caption above it; one channel is shown as ink on paper."""
        top = 0.6 + row * _CELL + 0.25
        grey = image.shape[-1] == 1
        self._axes.imshow(
            image[..., 0] if grey else image,
            cmap="gray_r" if grey else None,
            vmin=0,
            vmax=1,
            extent=(x, x + 1, top + 1, top),
        )
        self._axes.add_patch(Rectangle((x, top), 1, 1, fill=False, edgecolor=FAINT, linewidth=0.8))
        self._axes.text(
            x + 0.5, top - 0.03, caption, ha="center", va="bottom", fontsize=8.5, color=color
        )


def _margin(names: Iterable[str]) -> float:
    """Returns the width of the names to the left of a sheet's rows."""
    return 0.35 + 0.11 * max(map(len, names), default=0)


def most_memorized_classes(labels: np.ndarray, memorization: np.ndarray) -> list[int]:
    """Sorts all classes by their number of examples with memorization 0.35 or more."""
    present = np.unique(labels)
    memorized = np.bincount(
        labels[at_least(memorization, 0.35)], minlength=present.max(initial=-1) + 1
    )
    return present[np.argsort(-memorized[present], kind="stable")].tolist()


def memorization_gallery(
    images: Images,
    labels: np.ndarray,
    memorization: np.ndarray,
    class_names: Sequence[str],
    rows: Sequence[int] | None = None,
    examples: int = 3,
    units: Units = SHARES,
) -> Figure:
    """Draws examples with memorization near 0, 0.5 and 1, by class (F&Z 2020, Figs. 1 and D.4).

    Each class has a row. The examples nearest to 1 are taken first, then, of the others, those
    nearest to 0.5, then those nearest to 0; ties are broken by index. A class with too few examples
    makes the blocks narrower, so that no place stays empty. An example further than 0.15 from its
    level has its value in grey. Of a score without bounds the highest memorization takes the place
    of 1.

    Args:
      images: pictures by index, `[height, width, channels]` with values in [0, 1].
      labels: int64 `[num_train]`.
      memorization: float `[num_train]`.
      class_names: names by label.
      rows: the classes; None shows the first six of `most_memorized_classes`, in numerical order.
      examples: most examples at each level.
      units: of memorization.
    """
    most = 1.0 if units.bounded else float(max(np.nanmax(memorization, initial=0), 1e-300))
    levels = [most * level for level in _LEVELS]
    if rows is None:
        rows = sorted(most_memorized_classes(labels, memorization)[:6])
    known = [np.sum((labels == row) & ~np.isnan(memorization)) for row in rows]
    examples = max(1, min([examples, *(int(count) // len(_LEVELS) for count in known)]))
    chosen = {row: _by_level(labels == row, memorization, levels, examples) for row in rows}
    names = {row: literal(class_names[row]) for row in rows}
    margin = _margin(names.values())
    block = examples * 1.15 + 0.5
    sheet = _Sheet(margin + len(_LEVELS) * block, len(rows), inches=0.72)
    for number, level in enumerate(levels):
        left = margin + number * block
        shown = f"{level:g}" if units.bounded else units.difference(level)
        sheet.heading(left + (block - 0.65) / 2, f"memorization near {shown}")
        for row, label in enumerate(rows):
            for column, index in enumerate(chosen[label][number]):
                value = memorization[index]
                color = "black" if abs(value - level) <= _NEAR * most else PALE
                caption = units.difference(value)
                sheet.picture(left + 1.15 * column, row, images[index], caption, color)
    for row, label in enumerate(rows):
        sheet.label(margin - 0.15, row, names[label])
    return sheet.figure


def _by_level(
    of_class: np.ndarray, memorization: np.ndarray, levels: Sequence[float], examples: int
) -> list[list[int]]:
    """For each level, the examples of a class nearest to it, without those of a higher level."""
    left = of_class & ~np.isnan(memorization)
    found = []
    for level in reversed(levels):
        distance = np.where(left, np.abs(memorization - level), np.inf)
        near = np.argsort(distance, kind="stable")[: min(examples, int(left.sum()))]
        left[near] = False
        found.append(near.tolist())
    return found[::-1]


def ends_gallery(images: Images, table: pd.DataFrame, units: Units = SHARES) -> Figure:
    """Draws the most and the least memorized examples, with one row for each class.

    Args:
      images: pictures by index, `[height, width, channels]` with values in [0, 1].
      table: the table of `tfmem.experiments.instances`.
      units: of memorization.
    """
    classes = table["class"].unique()
    block = table.groupby(["class", "end"]).size().max() * 1.15 + 0.5
    margin = _margin(map(literal, classes))
    sheet = _Sheet(margin + 2 * block, len(classes), inches=0.72)
    for number, (end, what) in enumerate({"top": "most", "bottom": "least"}.items()):
        left = margin + number * block
        sheet.heading(left + (block - 0.65) / 2, f"memorized {what}")
        for row, name in enumerate(classes):
            chosen = table[(table["class"] == name) & (table["end"] == end)]
            for column, each in enumerate(chosen.itertuples()):
                caption = units.difference(each.memorization)
                sheet.picture(left + 1.15 * column, row, images[each.index], caption)
    for row, name in enumerate(classes):
        sheet.label(margin - 0.15, row, literal(name))
    return sheet.figure


@dataclass(frozen=True)
class InfluenceRow:
    """A training example and the test examples that it influences most.

    Attributes:
      train_index: the training example.
      memorization: its memorization.
      test_index: int64 `[count]`, the most influenced test example first.
      influence: float `[count]`, the influence on each.
      name: text that is shown beside the memorization, such as the class.
    """

    train_index: int
    memorization: float
    test_index: np.ndarray
    influence: np.ndarray
    name: str = ""


def spread_evenly(count: int, rows: int) -> np.ndarray:
    """Returns positions spread evenly over a sorted list with its ends: `[min(count, rows)]`."""
    return np.unique(np.linspace(0, count - 1, min(count, rows)).round().astype(np.int64))


def pair_gallery(
    train_images: Images,
    test_images: Images,
    rows: Sequence[InfluenceRow],
    examples: int = 4,
    panels: int = 1,
    named: str = "class",
    units: Units = SHARES,
) -> Figure:
    """Draws memorized training examples and the test examples that they influence.

    The figure is that of Feldman & Zhang (2020), Fig. 3.

    Args:
      train_images: training examples by index, `[height, width, channels]` with values in [0, 1].
      test_images: test examples by index, in the same form.
      rows: the rows to draw; `spread_evenly` chooses pairs without cherry-picking.
      examples: number of test examples in a row.
      panels: number of columns of rows, which are filled one after the other.
      named: what the names of rows are, such as classes.
      units: of memorization and influence.
    """
    if not rows:
        figure = Figure(figsize=(5, 1))
        figure.text(0.5, 0.5, "no pair was selected", ha="center", color=GREY)
        return figure
    height = -(-len(rows) // panels)
    panel = 2.0 + examples * 1.15 + 0.2
    sheet = _Sheet(min(panels, -(-len(rows) // height)) * panel, height, inches=0.95)
    for number, row in enumerate(rows):
        left, line = number // height * panel, number % height
        if not line:
            known = "memorization"
            if any(each.name for each in rows):
                known = f"{named}, {known}"
            sheet.heading(left + 0.85, f"training example:\n{known}")
            several = "most influenced test examples:\ninfluence"
            one = "test example:\ninfluence"
            middle = left + 2.0 + (examples * 1.15 - 0.15) / 2
            sheet.heading(middle, several if examples > 1 else one)
        train = train_images[row.train_index]
        name = f"{literal(row.name, _NAME)}, " if row.name else ""
        caption = f"{name}{units.difference(row.memorization)}"
        sheet.picture(left + 0.35, line, train, caption)
        for column, index in enumerate(row.test_index[:examples]):
            x = left + 2.0 + 1.15 * column
            sheet.picture(x, line, test_images[index], units.difference(row.influence[column]))
    return sheet.figure
