"""Histograms of memorization, and of the influence of selected pairs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES, Units
from tfmem.figures.style import BLUE, ORANGE, VERMILION, new_figure, plain


def memorization_histogram(
    memorization: np.ndarray, threshold: float | None, units: Units = SHARES
) -> Figure:
    """Draws the number of training examples by memorization, and marks those from the threshold on.

    The scale is logarithmic, on which a bar would have no true length, so each bin is a point.

    Args:
      memorization: float `[num_train]`; NaN is left out and counted in the legend.
      threshold: the memorization from which examples count as memorized; None if there is none.
      units: of memorization.
    """
    known = memorization[~np.isnan(memorization)]
    figure = new_figure(7, 3.6)
    axes = plain(figure.subplots())
    if units.bounded:
        low = min(-0.1, np.floor(20 * known.min(initial=0)) / 20)
        bins = (np.arange(round(20 * low), 21) / 20).tolist()
    else:
        bins = _edges(known)
    parts, names = [known], [f"{len(known):,} examples"]
    if threshold is not None:
        memorized = at_least(known, threshold)
        parts = [known[~memorized], known[memorized]]
        names = [
            f"below: {np.sum(~memorized):,} examples",
            f"memorized: {np.sum(memorized):,} examples ({np.mean(memorized):.1%})",
        ]
    centres = np.add(bins[1:], bins[:-1]) / 2
    for part, name, (color, mark) in zip(parts, names, ((BLUE, "o"), (ORANGE, "s")), strict=False):
        counts = np.histogram(part, bins)[0]
        seen = counts > 0
        axes.plot(
            centres[seen], counts[seen], mark, color=color, label=name, clip_on=False, zorder=3
        )
    if threshold is not None:
        axes.axvline(threshold, color=VERMILION, linestyle="--", label=f"threshold {threshold:g}")
    if missing := len(memorization) - len(known):
        axes.plot([], [], " ", label=f"not estimable: {missing:,} examples")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.8)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlim(bins[0], bins[-1])
    axes.set_xlabel(f"memorization{units.of}, in bins of {bins[1] - bins[0]:.2g}")
    axes.set_ylabel("training examples (log scale)")
    axes.legend(frameon=False)
    return figure


def _edges(values: np.ndarray) -> list[float]:
    """Returns the edges of some thirty bins of round width that hold all values and 0."""
    edges = MaxNLocator(30).tick_values(values.min(initial=0), values.max(initial=0))
    return [float(edge) for edge in edges]


def influence_histogram(
    influence: np.ndarray, thresholds: Sequence[float], units: Units = SHARES
) -> Figure:
    """Draws the number of selected pairs by influence (Feldman & Zhang 2020, Fig. C.1).

    Args:
      influence: float `[pairs]`, the influence of the selected pairs.
      thresholds: least influences of selected pairs; empty if another rule selected them.
      units: of influence.
    """
    figure = new_figure(7, 3.6)
    axes = plain(figure.subplots())
    known = np.concatenate([influence, thresholds])
    if units.bounded:
        start = np.floor(40 * known.min(initial=1 if len(known) else 0) + 1e-6)
        stop = 40 if known.max(initial=-1) > 0 or not len(known) else 0
        bins = (np.arange(start, stop + 1) / 40).tolist()
    else:
        bins = _edges(known)
    axes.hist(influence, bins=bins, color=BLUE, label=f"{len(influence):,} selected pairs")
    for threshold in thresholds:
        axes.axvline(threshold, color=VERMILION, linestyle="--", label=f"threshold {threshold:g}")
    axes.set_xlim(bins[0] - (bins[1] - bins[0]) / 2, bins[-1])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if not len(influence):
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "no pair was selected", transform=axes.transAxes, ha="center")
    axes.set_xlabel(f"influence{units.of}")
    axes.set_ylabel("pairs")
    axes.legend(frameon=False)
    return figure
