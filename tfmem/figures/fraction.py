"""Errors of memorization by subset fraction."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem.experiments.fraction import ERROR
from tfmem.figures.style import BLUE, FAINT, GREY, ORANGE, VERMILION, new_figure, plain

_MARKS = "osD^vPX*"


def fraction_figure(table: pd.DataFrame) -> Figure:
    """Error by fraction for several numbers of trials; its two parts; examples memorized.

    Args:
      table: of `tfmem.experiments.fraction`.
    """
    figure = new_figure(11, 3.8)
    total, parts, counts = figure.subplots(1, 3)
    shares, reference = table["fraction"], table["reference"].iloc[0]
    columns = [name for name in table if str(name).startswith(ERROR)]
    for number, name in enumerate(columns):
        shade = str(0.75 * (1 - (number + 1) / len(columns)))
        mark, trials = _MARKS[number % len(_MARKS)], int(str(name).removeprefix(ERROR))
        total.plot(shares, table[name], f"{mark}-", color=shade, label=f"{trials:,}", markersize=4)
        best = int(np.argmin(table[name]))
        total.plot(
            shares[best], table[name][best], "o", color=VERMILION, markersize=10, fillstyle="none"
        )
    total.plot([], [], "o", color=VERMILION, markersize=10, fillstyle="none", label="least")
    total.legend(title="trials", frameon=False, fontsize="small")
    total.set_ylabel("root mean square error of memorization")
    parts.axhline(0, color=FAINT, linewidth=1)
    parts.errorbar(
        shares, table["bias"], table["bias_stderr"], fmt="o-", color=BLUE, capsize=3,
        label="mean difference (± 1 SE)",
    )  # fmt: skip
    ends = table["distance"] - table["distance_low"], table["distance_high"] - table["distance"]
    parts.errorbar(
        shares, table["distance"], ends, fmt="s--", color=GREY, capsize=3,
        label="distance beyond noise (95%)",
    )  # fmt: skip
    parts.plot(
        shares,
        table["noise"],
        "D:",
        color=ORANGE,
        label=f"noise of {table['trials'].max():,} trials",
    )
    parts.set_ylabel(f"difference from {reference} ({table['examples'].iloc[0]:,} examples)")
    parts.legend(frameon=False, fontsize="small")
    counts.plot(shares, table["memorized"], "o-", color=VERMILION)
    counts.set_ylabel("memorized training examples")
    for axes in (total, parts, counts):
        axes.set_xlabel("subset fraction m/n")
        plain(axes)
    total.set_ylim(bottom=0)
    counts.set_ylim(bottom=0)
    return figure
