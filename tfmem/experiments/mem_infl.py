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
from tfmem.experiments.checks import right_or_wrong, test_examples
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Experiment, Given, NoSettings
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain
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
      selected pairs that hold the example. The first two are NaN if there is no estimate.
    """
    run, selection = given.run, given.config.selection
    table = _table(run, selection.least_influence)
    train = table[table["split"] == "train"]
    memorization = train["memorization"].to_numpy()
    memorized = at_least(memorization, selection.least_memorization)
    largest = train["largest_influence"].to_numpy()
    above = np.where(np.isnan(largest), np.nan, train["above"])
    threshold = f"influence of at least {selection.least_influence:g}"
    said = [
        "Rank correlation of memorization with the largest influence: "
        f"{rank_correlation(memorization, largest)}; among examples with memorization ≥ "
        f"{selection.least_memorization:g} only: "
        f"{rank_correlation(memorization[memorized], largest[memorized])}.",
        "Rank correlation of memorization with the number of test examples on which an example has "
        f"an {threshold}: {rank_correlation(memorization, above)}.",
        f"{_share(above[memorized] > 0)} memorized training examples have an {threshold} on some "
        f"test example; of the others, {_share(above[~memorized & ~np.isnan(memorization)] > 0)} "
        "have.",
        _influencers(run),
    ]
    return Outcome(tuple(said), table)


def _table(run: Run, threshold: float) -> pd.DataFrame:
    labels = {"train": run.labels.train_labels, "test": run.labels.test_labels}
    largest = {split: np.full(len(of), np.nan) for split, of in labels.items()}
    above = {split: np.zeros(len(of), np.int64) for split, of in labels.items()}
    for block in run.influence.values():
        influence = block.influence
        reached = at_least(influence, threshold)
        for axis, split, index in (1, "train", block.train_index), (0, "test", block.test_index):
            largest[split][index] = np.fmax.reduce(influence, axis=axis, initial=np.nan)
            above[split][index] = reached.sum(axis=axis)
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
                "pairs": np.bincount(run.pairs[f"{split}_index"], minlength=len(of)),
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
    chance = f"{run.selection['expected_by_chance']:,.2g} pairs are expected by chance"
    return (
        f"{found.pairs:,} selected pairs of {found.unique_train:,} training and "
        f"{found.unique_test:,} test examples ({chance})"
        + (f"; by number of influencers, {counted}." if counted else ".")
    )


_BINS = (0.1, 0.25, 0.5, 0.75)


def mem_infl_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws largest influences, shares of examples with influence, and numbers of influencers.

    Args:
      table: the table of `mem_infl`.
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
    middle.set_xlabel("memorization, up to the next value (examples)")
    middle.set_ylabel("share with influence (95% interval)")

    influencers = test["pairs"][test["pairs"] > 0].value_counts().sort_index()
    bars = right.bar(influencers.index, influencers, width=0.7, color=BLUE)
    right.bar_label(bars)
    right.locator_params(integer=True)
    right.set_xlabel("training examples that influence it")
    right.set_ylabel("number of test examples")
    return figure


EXPERIMENT = Experiment(
    name="mem-infl",
    question="Do memorized examples have influence, and on how many?",
    source="Feldman & Zhang (2020), Sec. 3, and a question of their reviewers",
    settings=NoSettings,
    needs=(Predictions, Memorization, Influence, SelectedPairs),
    sections=("selection",),
    conduct=mem_infl,
    draw=mem_infl_figure,
    checks=(
        right_or_wrong,
        test_examples,
    ),
)
