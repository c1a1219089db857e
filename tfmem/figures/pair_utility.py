"""Accuracy without the training examples of pairs (Feldman & Zhang 2020, App. C)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from tfmem.figures.style import BLUE, FAINT, GREY, VERMILION, new_figure, plain

_WAYS = {
    "none": (GREY, "all training\nexamples"),
    "pairs": (VERMILION, "without those\nof the pairs"),
    "random": (BLUE, "without as\nmany random"),
}
_SETS = {"all": "all test examples", "influenced": "influenced", "others": "others"}


def pair_utility_figure(table: pd.DataFrame) -> Figure:
    """Accuracy on all and on the influenced test examples, and on which of them it is lost.

    Args:
      table: of `tfmem.experiments.pair_utility`.
    """
    figure = new_figure(11, 3.8)
    if table.empty:
        figure.text(0.5, 0.5, "no pair was selected", ha="center", color=GREY)
        return figure
    *accuracies, losses = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    places = list(range(len(_WAYS)))
    for axes, name in zip(accuracies, ("all", "influenced"), strict=True):
        rows = table[table["examples"] == name].set_index("removal").loc[list(_WAYS)]
        for place, (color, _), row in zip(places, _WAYS.values(), rows.itertuples(), strict=True):
            axes.errorbar(place, row.accuracy, row.accuracy_sd, fmt="o", color=color, capsize=4)
        axes.set_xticks(places, [label for _, label in _WAYS.values()], fontsize="small")
        axes.set_xlim(-0.5, len(_WAYS) - 0.5)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_title(f"{_SETS[name]} ({rows['size'].iloc[0]:,})", fontsize="medium")
        plain(axes)
    accuracies[0].set_ylabel("accuracy (± 1 SD)")
    for shift, how in ((-0.2, "pairs"), (0.2, "random")):
        rows = table[table["removal"] == how].set_index("examples").loc[list(_SETS)]
        losses.bar(
            [place + shift for place in places],
            100 * rows["lost"],
            width=0.36,
            yerr=100 * rows["lost_stderr"],
            color=_WAYS[how][0],
            capsize=3,
            label=_WAYS[how][1].replace("\n", " "),
        )
    losses.axhline(0, color=FAINT, linewidth=1)
    losses.margins(y=0.25)
    losses.set_xticks(places, list(_SETS.values()), fontsize="small")
    losses.set_title("lost on them", fontsize="medium")
    losses.set_ylabel("points of the accuracy on all (± 1 SE)")
    losses.legend(frameon=False, fontsize="small")
    plain(losses)
    return figure
