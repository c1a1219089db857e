"""Positive phrases by memorization (Zheng & Jiang 2022, Table 1), and how they spread (Fig. 4)."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import BLUE, GREY, VERMILION, literal, new_figure, plain

_COLORS = (VERMILION, BLUE)


def typicality_figure(table: pd.DataFrame) -> Figure:
    """The mean over tenths by memorization, and of each class the distribution in all and the last.

    Args:
      table: of `tfmem.experiments.typicality`.
    """
    classes = table["class"].unique().tolist()
    figure = new_figure(4.4 + 3.1 * len(classes), 4)
    curve, *distributions = figure.subplots(
        1, 1 + len(classes), width_ratios=[1.4] + [1] * len(classes)
    )
    plain(curve)
    shown = [literal(str(name)) for name in classes]
    for name, called, color in zip(classes, shown, _COLORS, strict=False):
        rows = table[table["class"] == name].set_index("group")
        tenths = rows.drop("all")
        place = tenths.index.astype(int)
        curve.fill_between(place, tenths["low"], tenths["high"], color=color, alpha=0.2, lw=0)
        curve.plot(place, tenths["fraction"], "o-", color=color, label=f"{called}, tenths")
        curve.axhline(
            rows.loc["all", "fraction"], color=color, lw=1, ls=":", label=f"{called}, all"
        )
        curve.plot(place, tenths["paper"], "D", color=color, mfc="none", ms=8)
    if table["paper"].notna().any():
        curve.plot([], [], "D", color=GREY, mfc="none", ms=8, label="Zheng & Jiang (2022)")
    curve.set_xticks(range(1, 11))
    curve.set_xlabel("tenth of the class by memorization (10: most)")
    curve.set_ylabel("positive phrases, mean (95% interval)")
    curve.set_ylim(0, 1)
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    curve.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3)
    edges = np.linspace(0, 1, 11)
    bins = [column for column in table.columns if column.startswith("from_")]
    for axes, name, called, color in zip(distributions, classes, shown, _COLORS, strict=False):
        rows = table[table["class"] == name].set_index("group")
        plain(axes).stairs(
            rows.loc["all", bins], edges, fill=True, color=color, alpha=0.3, label="all"
        )
        axes.stairs(rows.loc["10", bins], edges, color=color, lw=2, label="most memorized tenth")
        axes.set_title(f"{called} sentences", fontsize=10)
        axes.set_xlabel("positive phrases")
        axes.set_ylabel("share of the sentences")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.legend(frameon=False, fontsize=8)
    return figure
