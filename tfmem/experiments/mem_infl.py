"""Do memorized examples have influence, and does an influenced example owe it to one of them?

A reviewer of Feldman & Zhang (2020) missed the correlation of memorization with influence. Their
Sec. 3 says that most influenced test examples have a single influencer.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import binomtest

from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES
from tfmem.experiments.checks import test_examples
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Experiment, Given, NoSettings
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.style import BLUE, GREY, VERMILION, WIDE, new_figure, plain
from tfmem.selection.memorized import described
from tfmem.store.artifacts import Influence, Memorization, Predictions, SelectedPairs


def mem_infl(given: Given[NoSettings]) -> Outcome:
    """Compares memorization with the largest influence, and with the number of influenced examples.

    Args:
      given: memorization, class-wise influence and selected pairs of a run.

    Returns:
      One row for each training and test example, by `split`, `index` and `label`. `memorization` is
      NaN for test examples. `largest_influence` is the largest influence of a training example on a
      test example of its class, or of a training example on this test example. `above` is the
      number of such influences at or above the threshold of selection, `pairs` the number of
      selected pairs that hold the example. If selection has no threshold in the unit of a score,
      `above` is `pairs`. The first two are NaN if there is no estimate. `memorized` is whether the
      example counts as memorized.
    """
    run, selection = given.run, given.config.selection
    threshold, memorized = selection.least("influence", run.statistic), run.memorized_by(selection)
    table = _table(run, threshold, memorized)
    train = table[table["split"] == "train"]
    memorization = train["memorization"].to_numpy()
    largest = train["largest_influence"].to_numpy()
    above = np.where(np.isnan(largest), np.nan, train["above"])
    if threshold is None:
        influence = "an influence that is selected"
    else:
        influence = f"an influence of at least {threshold:g}"
    said = [
        "Rank correlation of memorization with the largest influence: "
        f"{rank_correlation(memorization, largest)}; among examples with "
        f"{described(selection, run.statistic)} only: "
        f"{rank_correlation(memorization[memorized], largest[memorized])}.",
        "Rank correlation of memorization with the number of test examples on which an example has "
        f"{influence}: {rank_correlation(memorization, above)}.",
        f"{_share(above[memorized] > 0)} memorized training examples have {influence} on some "
        f"test example; of the others, {_share(above[~memorized & ~np.isnan(memorization)] > 0)} "
        "have.",
        _influencers(run),
    ]
    return Outcome(tuple(said), table)


def _table(run: Run, threshold: float | None, memorized: np.ndarray) -> pd.DataFrame:
    labels = {"train": run.labels.train_labels, "test": run.labels.test_labels}
    largest = {split: np.full(len(of), np.nan) for split, of in labels.items()}
    pairs = {
        split: np.bincount(run.pairs[f"{split}_index"], minlength=len(of))
        for split, of in labels.items()
    }
    above = {split: counts.copy() for split, counts in pairs.items()}
    for block in run.influence.values():
        influence = block.influence
        for axis, split, index in (1, "train", block.train_index), (0, "test", block.test_index):
            largest[split][index] = np.fmax.reduce(influence, axis=axis, initial=np.nan)
            if threshold is not None:
                above[split][index] = at_least(influence, threshold).sum(axis=axis)
    memorization = run.memorization["memorization"].to_numpy(float)
    parts = [
        pd.DataFrame(
            {
                "split": split,
                "index": np.arange(len(of)),
                "label": of,
                "memorization": memorization if split == "train" else np.nan,
                "largest_influence": largest[split],
                "above": above[split],
                "pairs": pairs[split],
                "memorized": memorized if split == "train" else False,
            }
        )
        for split, of in labels.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _share(chosen: np.ndarray) -> str:
    return f"{int(chosen.sum()):,} of {len(chosen):,}"


def _influencers(run: Run) -> str:
    found = run.pair_statistics
    counted = ", ".join(f"{count:,} have {number}" for number, count in found.influencers.items())
    expected = run.selection["expected_by_chance"]
    chance = "" if expected != expected else f" ({expected:,.2g} pairs are expected by chance)"
    return (
        f"{found.pairs:,} selected pairs of {found.unique_train:,} training and "
        f"{found.unique_test:,} test examples{chance}"
        + (f"; by number of influencers, {counted}." if counted else ".")
    )


_BINS = (0.1, 0.25, 0.5, 0.75)


def mem_infl_figure(table: pd.DataFrame, given: Given[NoSettings] | None) -> Figure:
    """Draws largest influences, shares of examples with influence, and numbers of influencers.

    Args:
      table: the table of `mem_infl`.
      given: its inputs.
    """
    units = SHARES if given is None else given.run.units
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    figure = new_figure(WIDE, 4.2)
    left, middle, right = (
        plain(axes) for axes in figure.subplots(1, 3, width_ratios=[1, 1.2, 0.8])
    )
    for chosen, color, mark, name in (
        (train[train["pairs"] == 0], GREY, ".", "in no selected pair"),
        (train[train["pairs"] > 0], VERMILION, "D", "in selected pairs"),
    ):
        left.plot(
            chosen["memorization"], chosen["largest_influence"], mark, color=color, alpha=0.7,
            markersize=5, markeredgewidth=0, label=f"{name} ({len(chosen):,})",
            rasterized=len(table) > 5000,
        )  # fmt: skip
    left.set_xlabel(f"memorization of a training example{units.below}")
    left.set_ylabel("its largest influence on a test example")
    left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)

    known = train.dropna(subset="largest_influence")
    edges = _BINS if units.bounded else _quarters(known["memorization"])
    bins = pd.cut(known["memorization"], [-np.inf, *edges, np.inf], right=False)
    groups = (known["above"] > 0).groupby(bins, observed=True)
    for place, (_, influences) in enumerate(groups):
        found = binomtest(int(influences.sum()), len(influences))
        share, interval = found.statistic, found.proportion_ci(method="wilson")
        error = [[share - interval.low], [interval.high - share]]
        middle.errorbar(place, share, error, fmt="o", color=BLUE, capsize=3)
    shown = [f"{edge:g}" if units.bounded else _brief(edge) for edge in edges]
    names = [f"< {shown[0]}", *(f"≥ {edge}" for edge in shown)]
    middle.set_xticks(
        range(len(groups)),
        [f"{names[bins.cat.categories.get_loc(each)]}\n({len(of):,})" for each, of in groups],
        fontsize="small",
    )
    middle.yaxis.set_major_formatter(PercentFormatter(1))
    middle.set_ylim(bottom=0)
    middle.set_xlabel("memorization, up to the next value (examples)")
    middle.set_ylabel("share with influence (95% interval)")

    influencers = test["pairs"][test["pairs"] > 0].value_counts().sort_index()
    bars = right.bar(influencers.index, influencers, width=0.7, color=BLUE)
    right.bar_label(bars)
    right.locator_params(integer=True)
    right.set_xlabel("training examples\nthat influence it")
    right.set_ylabel("number of test examples")
    return figure


def _brief(value: float) -> str:
    """Two digits of a number of any size, as few characters as possible: `1.5e5`."""
    return f"{value:.2g}".replace("e+0", "e").replace("e-0", "e-")


def _quarters(memorization: pd.Series) -> tuple[float, ...]:
    """Values of a score, rounded to two digits, that divide examples into about equal parts."""
    quantiles = np.quantile(memorization, [0.25, 0.5, 0.75, 0.95])
    return tuple(np.unique([float(f"{value:.2g}") for value in quantiles]).tolist())


EXPERIMENT = Experiment(
    name="mem-infl",
    question="Do memorized examples have influence, and on how many?",
    source="Feldman & Zhang (2020), Sec. 3, and a question of their reviewers",
    trains="nothing",
    reading=(
        "Left: an example and its largest influence; the largest of many noisy numbers is above 0 "
        "by chance, so compare it with the threshold of influence. Middle: the share of training "
        "examples with an influence above the threshold, by memorization. Right: how many "
        "training examples each influenced test example has."
    ),
    settings=NoSettings,
    needs=(Predictions, Memorization, Influence, SelectedPairs),
    sections=("selection",),
    conduct=mem_infl,
    draw=mem_infl_figure,
    checks=(test_examples,),
    results="findings.md#mem-infl",
)
