"""How memorization, and the influence of selected pairs, are distributed."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfmem.figures.style import BLUE, ORANGE, VERMILION, new_figure, plain


def memorization_histogram(memorization: np.ndarray, threshold: float) -> Figure:
    """Number of training examples by memorization, with what is at or above the threshold.

    Args:
      memorization: float `[num_train]`; NaN is left out and counted in the legend.
      threshold: selection threshold.
    """
    known = memorization[~np.isnan(memorization)]
    figure = new_figure(7, 3.6)
    axes = plain(figure.subplots())
    low = min(-0.1, np.floor(20 * known.min(initial=0)) / 20)
    bins = (np.arange(round(20 * low), 21) / 20).tolist()
    memorized = known >= threshold
    axes.hist(
        [known[~memorized], known[memorized]],
        bins=bins,
        stacked=True,
        color=[BLUE, ORANGE],
        label=[
            f"below: {np.sum(~memorized):,} examples",
            f"memorized: {np.sum(memorized):,} examples ({np.mean(memorized):.1%})",
        ],
    )
    axes.axvline(threshold, color=VERMILION, linestyle="--", label=f"threshold {threshold:g}")
    if missing := len(memorization) - len(known):
        axes.plot([], [], " ", label=f"not estimable: {missing:,} examples")
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.7)
    axes.set_xlim(bins[0], 1)
    axes.set_xlabel("memorization")
    axes.set_ylabel("training examples (log scale)")
    axes.legend(frameon=False)
    return figure


def influence_histogram(influence: np.ndarray, threshold: float) -> Figure:
    """Number of selected pairs by influence (Feldman & Zhang 2020, Fig. C.1).

    Args:
      influence: float `[pairs]`, of the selected pairs.
      threshold: selection threshold.
    """
    figure = new_figure(7, 3.6)
    axes = plain(figure.subplots())
    start = np.floor(40 * threshold) / 40
    bins = np.arange(start, 1.0251, 0.025).tolist()
    axes.hist(influence, bins=bins, color=BLUE, label=f"{len(influence):,} selected pairs")
    axes.axvline(threshold, color=VERMILION, linestyle="--", label=f"threshold {threshold:g}")
    axes.set_xlim(start - 0.0125, 1)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if not len(influence):
        axes.set_ylim(0, 1)
        axes.text(0.5, 0.5, "no pair reaches the thresholds", transform=axes.transAxes, ha="center")
    axes.set_xlabel("influence")
    axes.set_ylabel("pairs")
    axes.legend(frameon=False)
    return figure
