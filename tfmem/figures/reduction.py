"""Self-influence that is lost with masked words."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import GREY, VERMILION, new_figure, plain


def reduction_figure(table: pd.DataFrame) -> Figure:
    """Reduction rate by attribution and at random (Zheng & Jiang 2022, Fig. 2).

    Args:
      table: of `tfmem.experiments.reduction.reduction`.
    """
    figure = new_figure(5, 3.5)
    axes = plain(figure.subplots())
    for way, colour, marker, name in (
        ("attributed", VERMILION, "o", "those with the highest attributions"),
        ("random", GREY, "s", "random ones"),
    ):
        errors = 1.96 * table[f"{way}_se"]
        axes.errorbar(
            table["percent"] / 100, table[way], errors, fmt=f"{marker}-", color=colour,
            capsize=3, markersize=4, label=name,
        )  # fmt: skip
    axes.axhline(1, color=GREY, linewidth=0.6, linestyle=":")
    axes.set(xlabel="words (or patches) masked", ylabel="self-influence lost (mean, 95%)")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, loc="lower right")
    return figure
