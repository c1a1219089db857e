"""The figures of membership attacks: ROC curves, and the examples that attacks find out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import BLUE, GREY, PALE, VERMILION, WIDE, new_figure, plain

_ATTACKS = [(VERMILION, "-"), (BLUE, "--"), (PALE, "-.")]
_REMOVALS = [(GREY, "-"), (VERMILION, "--"), (VERMILION, "-"), (BLUE, "--"), (BLUE, "-")]
_LEAST = 1e-5  # the least rate that is shown
_BINS = 20


def privacy_figure(
    curves: pd.DataFrame, exposure: pd.DataFrame, exposed: str, rate: float, unit: str = ""
) -> Figure:
    """Draws ROC curves on logarithmic axes, and exposure over memorization.

    Args:
      curves: a row for each attack and false-positive rate: `attack`, `fpr`, `tpr`, `tpr_low`,
        `tpr_high`.
      exposure: a row for each example: `memorization`, and the column `exposed`.
      exposed: name of the column of the share of trainings in which an example is found out.
      rate: the false-positive rate at which they are found out.
      unit: the unit of memorization, in brackets; empty if it has none.
    """
    figure = new_figure(WIDE, 4.3)
    left, right = (plain(axes) for axes in figure.subplots(1, 2))
    _draw_curves(left, curves, _ATTACKS)

    known = exposure.dropna(subset=["memorization", exposed])
    right.plot(
        known["memorization"], known[exposed], ".", color=BLUE, alpha=0.35, markeredgewidth=0,
        rasterized=len(known) > 5000, label=f"an example ({len(known):,})",
    )  # fmt: skip
    if len(known) >= _BINS:
        ends = known["memorization"].min(), known["memorization"].max()
        edges = np.linspace(*ends, _BINS + 1)
        bins = np.clip(np.digitize(known["memorization"], edges), 1, _BINS)
        means = known[["memorization", exposed]].groupby(bins).mean()
        right.plot(
            means["memorization"], means[exposed], "o-", color=VERMILION, markersize=4,
            label="mean",
        )  # fmt: skip
    right.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    right.set_ylim(-0.02, 1.02)
    right.set_xlabel(f"memorization{unit}")
    right.set_ylabel(
        f"share of its models in which it is found out\n(at {100 * rate:g}% false positives)"
    )
    right.legend(frameon=False, loc="upper left")
    return figure


_NAMES = {
    "all": "the run, all examples",
    "exposed, run": "the run, without the most exposed",
    "exposed, trained": "trained without the most exposed",
    "random, run": "the run, without random ones",
    "random, trained": "trained without random ones",
}


def onion_figure(curves: pd.DataFrame) -> Figure:
    """Draws ROC curves before and after examples were removed, on logarithmic axes.

    Args:
      curves: see `privacy_figure`; the attacks are those of `tfmem.experiments.onion`.
    """
    figure = new_figure(6, 5)
    axes = plain(figure.subplots())
    _draw_curves(axes, curves.assign(attack=curves["attack"].map(_NAMES)), _REMOVALS)
    return figure


def _draw_curves(axes: Axes, curves: pd.DataFrame, styles: Sequence[tuple[str, str]]) -> None:
    for (name, rows), (color, line) in zip(
        curves.groupby("attack", sort=False), styles, strict=True
    ):
        rows = rows[rows["tpr"] > 0]
        axes.plot(rows["fpr"], rows["tpr"], color=color, linestyle=line, label=name)
        low = np.maximum(rows["tpr_low"], _LEAST / 10)
        axes.fill_between(rows["fpr"], low, rows["tpr_high"], color=color, alpha=0.15, linewidth=0)
    axes.plot([_LEAST, 1], [_LEAST, 1], color=GREY, linestyle=":", linewidth=1, label="chance")
    axes.set(xscale="log", yscale="log", xlim=(_LEAST, 1), ylim=(_LEAST, 1))
    axes.set_xlabel("false-positive rate (log scale)")
    axes.set_ylabel("true-positive rate (log scale, 95%)")
    axes.legend(frameon=False, fontsize=8.5, loc="lower right")
