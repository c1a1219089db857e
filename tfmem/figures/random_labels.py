"""Memorization before and after labels were replaced at random."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain

_WAYS = {"memorized": "most memorized", "random": "random"}


def random_labels_figure(table: pd.DataFrame) -> Figure:
    """A point an example, its memorization after over that before, a panel for each choice.

    Args:
      table: of `tfmem.experiments.random_labels`.
    """
    figure = new_figure(9, 5)
    panels = figure.subplots(1, len(_WAYS), sharex=True, sharey=True)
    for axes, (way, name) in zip(panels, _WAYS.items(), strict=True):
        rows = table[table["replaced"] == way]
        first = rows.iloc[0]
        low, high = rows[["before", "after"]].min().min(), 1.02
        plain(axes).plot([low, high], [low, high], color=GREY, linewidth=0.8)
        means = []
        for changed, color, marker, label in (
            (False, BLUE, "o", "label kept"),
            (True, VERMILION, "^", "label replaced"),
        ):
            part = rows[rows["changed"] == changed]
            means.append(f"{part['before'].mean():.2f} → {part['after'].mean():.2f}")
            axes.plot(
                part["before"],
                part["after"],
                marker,
                color=color,
                markersize=4,
                alpha=0.5,
                markeredgewidth=0,
                label=label,
            )
        axes.set_title(
            f"labels of {part['index'].size:,} {name} examples replaced\n"
            f"their memorization {means[1]}, that of others {means[0]}\n"
            f"test accuracy {first['test_accuracy_before']:.2%} → "
            f"{first['test_accuracy_after']:.2%}",
            fontsize=10,
        )
        axes.set_xlabel("memorization before")
    panels[0].set_ylabel("memorization after")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    return figure
