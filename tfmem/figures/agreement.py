"""Figures of how far estimates agree, over thresholds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from tfmem.estimation.agreement import Curve
from tfmem.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDE,
    literal,
    new_figure,
    plain,
)

NAME = 120  # characters of the name of a run and of its results in a legend
SUFFICIENT = 0.7  # the Jaccard similarity by which Feldman & Zhang (2020, Sec. 2) chose 0.15
SERIES = (
    (BLUE, "-"), (VERMILION, "--"), (GREEN, "-."), (PURPLE, ":"), (ORANGE, "-"), (SKY, "--"),
    (GREY, "-."),
)  # fmt: skip
_GUIDE: dict[str, Any] = {"color": FAINT, "linestyle": ":", "zorder": 0}


@dataclass(frozen=True)
class Agreeing:
    """The curves of one comparison.

    Attributes:
      name: name in the legend.
      memorization: agreement of memorization.
      influence: agreement of influence.
    """

    name: str
    memorization: Curve
    influence: Curve


def agreement_of_table(table: pd.DataFrame, _: object) -> Figure:
    """Draws the agreement of two sides: the halves of a run, or a last layer (Fig. C.3).

    Args:
      table: a table of `tfmem.experiments.consistency.curves`, with `first_name` and `second_name`.
    """
    curves, thresholds = [], []
    for estimate in ("memorization", "influence"):
        rows = table[table["estimate"] == estimate]
        curves.append(Curve(*(rows[each.name].to_numpy() for each in fields(Curve))))
        thresholds.append(rows["selection"].iloc[0])
    compared = Agreeing(table["second_name"].iloc[0], *curves)
    unit = f" {table['unit'].iloc[0]}" if "unit" in table else ""
    return agreement_figure(
        [compared], table["first_name"].iloc[0], (thresholds[0], thresholds[1]), SUFFICIENT, unit
    )


def agreement_figure(
    compared: Sequence[Agreeing],
    reference: str,
    thresholds: tuple[float, float],
    sufficient: float,
    unit: str = "",
) -> Figure:
    """Draws `J` and `D` of memorization and influence (Feldman & Zhang 2020, Fig. C.2).

    Shades are 95% intervals; the intervals of `D` go beyond the axes if few examples are left.

    Args:
      compared: the comparisons; more than seven repeat colours.
      reference: the run with which all are compared.
      thresholds: the selection thresholds of memorization and of influence.
      sufficient: the `J` from which a threshold counts as high enough.
      unit: what follows a threshold: ` SD` if estimates are in standard deviations.
    """
    figure = new_figure(WIDE, 6.4)
    rows = figure.subplots(2, 2)
    estimates = "memorization", "influence"
    styles = list(itertools.islice(itertools.cycle(SERIES), len(compared)))
    for row, estimate, threshold in zip(rows, estimates, thresholds, strict=True):
        curves = [getattr(each, estimate) for each in compared]
        for axes, measure in zip(row, ("jaccard", "difference"), strict=True):
            for each, curve, style in zip(compared, curves, styles, strict=True):
                draw_curve(axes, curve, measure, literal(each.name, NAME), *style)
            axes.axvline(threshold, **_GUIDE)
            axes.set_xlim(0, max(end_of(curve) for curve in curves))
            axes.set_xlabel(f"threshold of {estimate}{unit and f' ({unit.strip()})'}")
            plain(axes)
        row[0].axhline(sufficient, **_GUIDE)
        row[0].set_ylim(0, 1.02)
        row[0].set_ylabel("J (Jaccard similarity)")
        highest = max(np.nanmax(curve.difference, initial=0) for curve in curves)
        row[1].set_ylim(0, 1.5 * highest or 1)
        row[1].set_ylabel(f"D (mean difference{unit and f',{unit}'})")
    handles, names = rows[0][0].get_legend_handles_labels()
    handles.append(Line2D([], [], **_GUIDE))
    names.append(
        "selection: "
        + ", ".join(
            f"{estimate} ≥ {threshold:g}{unit}"
            for estimate, threshold in zip(estimates, thresholds, strict=True)
        )
        + f"; J = {sufficient:g}"
    )
    figure.legend(
        handles, names, title=f"compared with {literal(reference, NAME)}",
        loc="outside upper center", frameon=False, ncols=2 if len(compared) > 3 else 1,
    )  # fmt: skip
    return figure


def draw_curve(axes: Axes, curve: Curve, measure: str, name: str, colour: str, line: str) -> None:
    """Draws `jaccard` or `difference` over thresholds, with its interval as a shade."""
    value, low, high = (getattr(curve, measure + end) for end in ("", "_low", "_high"))
    axes.plot(curve.threshold, value, color=colour, linestyle=line, label=name)
    axes.fill_between(curve.threshold, low, high, color=colour, alpha=0.18, linewidth=0)


def end_of(curve: Curve) -> float:
    """Returns a threshold a little beyond the last one that an example or pair reaches."""
    reached = curve.threshold[curve.either > 0]
    last = float(curve.threshold[-1])
    return min(last, float(reached[-1]) * 1.05) if len(reached) else last
