"""Accuracy without memorized, and without random examples (Feldman & Zhang 2020, Fig. 2)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain

_WAYS = {
    "memorized": (VERMILION, "o-", "without memorized examples"),
    "random": (BLUE, "s--", "without as many random examples"),
}


def removal_figure(table: pd.DataFrame) -> Figure:
    """Test accuracy over the threshold of removal, and the share that remains below.

    Over shares, in its place the least memorization that is removed (Zheng & Jiang 2022, Fig. 1).

    Args:
      table: of `tfmem.experiments.removal`.
    """
    level = table.columns[0]
    figure = new_figure(6, 5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    whole = table.iloc[0]
    above.axhline(whole["accuracy"], color=GREY, linewidth=1, label="all examples")
    around = (whole["accuracy"] + sign * whole["accuracy_sd"] for sign in (-1, 1))
    above.axhspan(*around, color=GREY, alpha=0.12, linewidth=0)
    for way, (color, line, name) in _WAYS.items():
        rows = table[table["removal"] == way].sort_values(level)
        low, high = (rows["accuracy"] + sign * rows["accuracy_sd"] for sign in (-1, 1))
        above.plot(rows[level], rows["accuracy"], line, color=color, label=name)
        above.fill_between(rows[level], low, high, color=color, alpha=0.2, linewidth=0)
    above.set_ylabel("test accuracy (± 1 SD)")
    above.yaxis.set_major_formatter(PercentFormatter(1))
    above.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    rows = table[table["removal"] == "memorized"].sort_values(level)
    by_share = level == "share"
    shown = "least_memorization" if by_share else "remaining"
    below.plot(rows[level], rows[shown], ".-", color=GREY)
    below.set_ylabel("least removed\nmemorization" if by_share else "remaining")
    if not by_share:
        below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    below.set_xlabel("share removed" if by_share else "memorization from which on is removed")
    if by_share:
        below.set_xticks(rows[level])
        below.xaxis.set_major_formatter(PercentFormatter(1))
    plain(above)
    plain(below)
    return figure
