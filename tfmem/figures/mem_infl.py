"""Memorization against influence."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import binomtest

from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain

_BINS = (0.1, 0.25, 0.5, 0.75)


def mem_infl_figure(table: pd.DataFrame) -> Figure:
    """Largest influence, share of examples that influence any other, number of influencers.

    Args:
      table: of `tfmem.experiments.mem_infl`.
    """
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    figure = new_figure(11, 4.2)
    left, middle, right = (plain(axes) for axes in figure.subplots(1, 3))
    for chosen, color, name in (
        (train[train["pairs"] == 0], GREY, "in no selected pair"),
        (train[train["pairs"] > 0], VERMILION, "in selected pairs"),
    ):
        left.plot(
            chosen["memorization"], chosen["largest_influence"], ".", color=color, alpha=0.6,
            markeredgewidth=0, label=f"{name} ({len(chosen):,})", rasterized=len(table) > 5000,
        )  # fmt: skip
    left.set_xlabel("memorization of a training example")
    left.set_ylabel("its largest influence on a test example")
    left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)

    known = train.dropna(subset="largest_influence")
    bins = pd.cut(known["memorization"], [-1.01, *_BINS, 1.01], right=False)
    groups = (known["above"] > 0).groupby(bins, observed=True)
    for place, (_, influences) in enumerate(groups):
        found = binomtest(int(influences.sum()), len(influences))
        share, interval = found.statistic, found.proportion_ci(method="wilson")
        error = [[share - interval.low], [interval.high - share]]
        middle.errorbar(place, share, error, fmt="o", color=BLUE, capsize=3)
    names = [f"< {_BINS[0]:g}", *(f"≥ {edge:g}" for edge in _BINS)]
    middle.set_xticks(
        range(len(groups)),
        [f"{names[bins.cat.categories.get_loc(each)]}\n({len(of):,})" for each, of in groups],
    )
    middle.yaxis.set_major_formatter(PercentFormatter(1))
    middle.set_ylim(bottom=0)
    middle.set_xlabel("memorization, up to the next edge (examples)")
    middle.set_ylabel("influence a test example (95% interval)")

    influencers = test["pairs"][test["pairs"] > 0].value_counts().sort_index()
    bars = right.bar(influencers.index, influencers, width=0.7, color=BLUE)
    right.bar_label(bars)
    right.locator_params(integer=True)
    right.set_xlabel("training examples in selected pairs with it")
    right.set_ylabel("test examples")
    return figure
