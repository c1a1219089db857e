"""Pictures of examples with their estimates, chosen by rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfmem.figures.style import GREY, new_figure

_LEVELS = (0.0, 0.5, 1.0)
_NEAR = 0.15


def memorization_gallery(
    images: np.ndarray,
    labels: np.ndarray,
    memorization: np.ndarray,
    class_names: Sequence[str],
    classes: int = 6,
    examples: int = 3,
) -> Figure:
    """Examples with memorization near 0, 0.5 and 1, a row a class (F&Z 2020, Fig. 1).

    The classes are those with most examples above 0.35, and of each the examples nearest to a level
    are shown, ties by index; a place stays empty where none is within 0.15 of the level.

    Args:
      images: `[num_train, height, width, channels]`, values in [0, 1].
      labels: int64 `[num_train]`.
      memorization: float `[num_train]`.
      class_names: names by label.
      classes: how many rows.
      examples: how many examples at each level.
    """
    memorized = np.bincount(labels[memorization >= 0.35], minlength=len(class_names))
    present = np.flatnonzero(np.bincount(labels, minlength=len(class_names)))
    rows = np.sort(present[np.argsort(-memorized[present], kind="stable")[:classes]])
    figure = new_figure(0.9 * len(_LEVELS) * examples + 1.2, 1.15 * len(rows) + 0.4)
    panels = figure.subfigures(1, len(_LEVELS), wspace=0.04)
    for level, panel in zip(_LEVELS, panels, strict=True):
        panel.suptitle(f"memorization near {level:g}", fontsize=10)
        grid = panel.subplots(len(rows), examples, squeeze=False)
        for places, label in zip(grid, rows, strict=True):
            distance = np.where(labels == label, np.abs(memorization - level), np.nan)
            near = np.argsort(distance, kind="stable")[:examples]
            for place, index in zip(places, near, strict=False):
                if distance[index] <= _NEAR:
                    _show(place, images[index], f"{memorization[index]:.2f}")
            for place in places:
                place.set_axis_off()
            if level == _LEVELS[0]:
                places[0].text(
                    -0.15,
                    0.5,
                    class_names[label],
                    transform=places[0].transAxes,
                    ha="right",
                    va="center",
                    fontsize=9,
                    clip_on=False,
                )
    return figure


@dataclass(frozen=True)
class InfluenceRow:
    """A training example and the test examples that it influences most.

    Attributes:
      train_index: the training example.
      memorization: its memorization.
      test_index: int64 `[count]`, most influenced first.
      influence: float `[count]`.
    """

    train_index: int
    memorization: float
    test_index: np.ndarray
    influence: np.ndarray


def spread_evenly(count: int, rows: int) -> np.ndarray:
    """Positions spread evenly over a sorted list, its ends included: int64 `[min(count, rows)]`."""
    return np.unique(np.linspace(0, count - 1, min(count, rows)).round().astype(np.int64))


def pair_gallery(
    train_images: np.ndarray,
    test_images: np.ndarray,
    rows: Sequence[InfluenceRow],
    examples: int = 4,
) -> Figure:
    """Memorized training examples and whom they influence (Feldman & Zhang 2020, Fig. 3).

    Args:
      train_images: `[num_train, height, width, channels]`, values in [0, 1].
      test_images: `[num_test, height, width, channels]`, likewise.
      rows: what to show; `spread_evenly` chooses pairs without cherry-picking.
      examples: how many test examples a row.
    """
    figure = new_figure(1.25 * (examples + 1), 1.35 * max(len(rows), 1) + 0.4)
    if not rows:
        figure.text(0.5, 0.5, "no pair reaches the thresholds", ha="center", color=GREY)
        return figure
    left, right = figure.subfigures(1, 2, width_ratios=(1, examples), wspace=0.02)
    left.suptitle("training example\nmemorization", fontsize=9)
    right.suptitle("most influenced test examples\ninfluence", fontsize=9)
    left_grid = left.subplots(len(rows), 1, squeeze=False)[:, 0]
    right_grid = right.subplots(len(rows), examples, squeeze=False)
    for row, place, places in zip(rows, left_grid, right_grid, strict=True):
        _show(place, train_images[row.train_index], f"{row.memorization:.2f}")
        place.set_axis_off()
        for each in places:
            each.set_axis_off()
        shown = zip(places, row.test_index, row.influence, strict=False)
        for each, index, influence in shown:
            _show(each, test_images[index], f"{influence:.2f}")
    return figure


def _show(axes: Axes, image: np.ndarray, title: str) -> None:
    grey = image.shape[-1] == 1
    axes.imshow(image[..., 0] if grey else image, cmap="gray_r" if grey else None, vmin=0, vmax=1)
    axes.set_title(title, fontsize=9, pad=2)
