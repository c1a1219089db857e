"""The figure of a plan: what each number of trials would show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from tfmem.figures.style import BLUE, GREY, ORANGE, VERMILION, WIDE, new_figure, plain

_MARKERS = "osD^v<>P*X"
_LINES = (BLUE, "-"), (ORANGE, "--"), (VERMILION, "-."), (GREY, ":")


def plan_figure(
    trials: Sequence[int],
    detected: Mapping[float, np.ndarray],
    errors: Mapping[str, np.ndarray],
    goal: float,
    configured: tuple[int, float, float],
) -> Figure:
    """Draws the smallest influence that is found, and standard errors, by number of trials.

    Args:
      trials: `[candidates]`, numbers of trials, ascending.
      detected: float `[candidates]` by subset fraction, the smallest influence that is found; NaN
        if no influence is.
      errors: float `[candidates]` by estimate, its standard error at the configured fraction.
      goal: the influence that the run should find.
      configured: configured trials and subset fraction, and the influence that they find.
    """
    figure = new_figure(WIDE, 4)
    found, right = figure.subplots(1, 2)
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(detected)))
    for number, (fraction, values) in enumerate(sorted(detected.items())):
        marker = _MARKERS[number % len(_MARKERS)]
        found.plot(
            trials, values, color=shades[number], marker=marker, markersize=4.5,
            label=f"m/n = {fraction:g}",
        )  # fmt: skip
    found.axhline(goal, color=VERMILION, linestyle="--", label=f"to be found: {goal:g}")
    count, fraction, influence = configured
    found.plot(
        count, influence, marker="o", markersize=13, markerfacecolor="none",
        markeredgecolor="black", linestyle="none", label=f"configured: {count:,} of {fraction:g} n",
    )  # fmt: skip
    found.set_ylabel("influence found with probability 0.9")
    for (name, values), (colour, line) in zip(errors.items(), _LINES, strict=False):
        right.plot(trials, values, color=colour, linestyle=line, label=name)
    right.set_ylabel(f"error of an estimate, m/n = {fraction:g}")
    for axes in (found, right):
        axes.set_ylim(bottom=0)
        _count_trials(axes, trials)
    return figure


def _count_trials(axes: Axes, trials: Sequence[int]) -> None:
    plain(axes)
    axes.set_xscale("log")
    far = [count for count, last in zip(trials, [0, *trials], strict=False) if count > 1.2 * last]
    axes.set_xticks(far, [f"{count:,}" for count in far])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("trials (log scale)")
    axes.legend(frameon=False, fontsize=8.5)
