"""How near scores come to memorization, over the trainings that they cost."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from tfmem.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    plain,
)

_WINE = "#882255"  # Tol's, for the ninth
_STYLES = {  # hollow: the same of probabilities
    "memorization": (VERMILION, "o-"),
    "memorization of probability": (VERMILION, "o--"),
    "consistency": (BLUE, "s-"),
    "consistency of probability": (BLUE, "s--"),
    "learning speed": (GREEN, "^-."),
    "confidence": (GREY, "v:"),
    "forgetting events": (PURPLE, "D-."),
    "EL2N": (SKY, "X-"),
    "GraNd": (ORANGE, "X:"),
    "gradient norm": ("black", "P:"),
    "self-influence": (_WINE, "*-."),
}


def proxies_figure(table: pd.DataFrame) -> Figure:
    """Correlation with memorization, and how well memorized examples are found.

    Args:
      table: of `tfmem.experiments.proxies`.
    """
    figure = new_figure(9.5, 5.6)
    panels = figure.subplots(1, 2, sharex=True)
    for axes, column, label in zip(
        panels,
        ("spearman", "auc"),
        ("Spearman's correlation with memorization", "area under the ROC curve"),
        strict=True,
    ):
        plain(axes).set_ylabel(f"{label} (95%)")
        axes.set_xlabel("cost, in trainings of a model (log scale)")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for name, (color, line) in _STYLES.items():
            rows = table[table["score"] == name].sort_values("cost")
            if rows.empty:
                continue
            inside = "white" if name.endswith("of probability") else color
            axes.plot(rows["cost"], rows[column], line, c=color, ms=5, mfc=inside, label=name)
            axes.fill_between(
                rows["cost"],
                rows[f"{column}_low"],
                rows[f"{column}_high"],
                color=color,
                alpha=0.12,
                linewidth=0,
            )
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        frameon=False,
        loc="outside lower center",
        ncols=5,
        fontsize=9,
    )
    return figure
