"""Are memorized sentences atypical (Zheng & Jiang 2022, Sec. 3.2, Table 1 and App. D)?

A positive sentence is typical if most of its phrases are positive, a negative one if few are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from scipy.stats import bootstrap

from tfmem.datasets import AnyDataset, TextDataset
from tfmem.experiments.declaration import Asked, Experiment, Given, NoSettings
from tfmem.experiments.outcome import Outcome
from tfmem.figures.style import BLUE, GREY, VERMILION, WIDE, literal, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Memorization

_GROUPS = 10  # groups of each class
_SMOOTHING = 0.01  # constant k of eq. 24
_RESAMPLES = 1000
# Table 1, in percent, by class and group; groups are tenths, the last one is memorized most.
_PAPER = {
    "negative": {"all": 23.24, "1": 14.92, "10": 35.80},
    "positive": {"all": 86.39, "1": 94.52, "10": 74.00},
}


def positive_fraction(phrases: np.ndarray) -> np.ndarray:
    """Share of positive among positive and negative phrases, smoothed (eq. 24, k = 0.01).

    Args:
      phrases: int64 `[examples, 5]`, phrases of each polarity from very negative to very positive.

    Returns:
      float64 `[examples]` in (0, 1); 1/2 for a sentence without such phrases.
    """
    negative, positive = phrases[:, :2].sum(axis=1), phrases[:, 3:].sum(axis=1)
    return (positive + _SMOOTHING) / (positive + negative + 2 * _SMOOTHING)


def train_phrases(dataset: AnyDataset) -> np.ndarray:
    """Counts of the phrases of each training sentence by polarity, int64 `[num_train, 5]`."""
    if not isinstance(dataset, TextDataset) or dataset.train_phrases is None:
        raise InputError(
            f"typicality: expected a data set with labels of phrases (dataset.name: treebank), "
            f"received {dataset.name}"
        )
    return dataset.train_phrases


def phrases(asked: Asked[NoSettings]) -> None:
    """Refuses a data set whose phrases have no labels."""
    train_phrases(asked.dataset)


def ten_of_each_class(asked: Asked[NoSettings]) -> None:
    """Refuses a data set with a class of fewer than ten examples."""
    dataset = asked.dataset
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    if counts.min() < _GROUPS:
        raise InputError(
            f"typicality: expected at least {_GROUPS} examples of class "
            f"{dataset.class_names[counts.argmin()]}, received {counts.min()}"
        )


def typicality(given: Given[NoSettings]) -> Outcome:
    """Measures the share of positive phrases in tenths of each class by memorization.

    Args:
      given: memorization of sentences with counts of their phrases; examples with NaN are left out.

    Returns:
      One row for each `class` and `group`, which is `all` or a tenth from `1`, the least memorized,
      to `10`. The mean `fraction` of positive phrases has a 95% bootstrap interval over examples;
      `paper` is the fraction in Table 1, NaN if it has none; each of `from_0.0` to `from_0.9` is
      the share of examples whose fraction lies between this number and 0.1 more (Fig. 4).

    Raises:
      InputError: if phrases have no labels, or a class has fewer than ten examples.
    """
    dataset = given.dataset
    memorization = given.run.memorization["memorization"].to_numpy(float)
    fraction = positive_fraction(train_phrases(dataset))
    rows = []
    for label, name in enumerate(dataset.class_names):
        known = np.flatnonzero((dataset.train_labels == label) & ~np.isnan(memorization))
        if len(known) < _GROUPS:
            raise InputError(
                f"typicality: expected at least {_GROUPS} examples of class {name} with "
                f"memorization, received {len(known)}"
            )
        ranked = known[np.argsort(memorization[known], kind="stable")]
        tenths = dict(
            zip(map(str, range(1, _GROUPS + 1)), np.array_split(ranked, _GROUPS), strict=True)
        )
        for group, members in {"all": known, **tenths}.items():
            mean, low, high = _mean(fraction[members])
            paper = _PAPER.get(name, {}).get(group, np.nan) / 100
            counts, _ = np.histogram(fraction[members], bins=10, range=(0, 1))
            shares = counts / len(members)
            rows.append((name, group, len(members), mean, low, high, paper, *shares))
    bins = [f"from_{start / 10:.1f}" for start in range(10)]
    names = ["class", "group", "examples", "fraction", "low", "high", "paper", *bins]
    table = pd.DataFrame(rows, columns=names)
    return Outcome(_findings(table), table)


def _mean(values: np.ndarray) -> tuple[float, float, float]:
    """The mean, and its percentile interval by a bootstrap over examples."""
    if np.ptp(values) == 0:
        return (float(values[0]),) * 3
    drawn = bootstrap(
        (values,), np.mean, n_resamples=_RESAMPLES, batch=100, method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return float(values.mean()), float(drawn.low), float(drawn.high)


def _findings(table: pd.DataFrame) -> tuple[str, ...]:
    said = []
    for name, rows in table.groupby("class", sort=False):
        by_group = rows.set_index("group")
        parts = []
        for group, what in {"10": "top 10%", "all": "all", "1": "bottom 10%"}.items():
            row = by_group.loc[group]
            paper = "" if np.isnan(row["paper"]) else f"; paper {row['paper']:.2%}"
            parts.append(
                f"{what} {row['fraction']:.2%} ({row['low']:.2%} to {row['high']:.2%}{paper})"
            )
        said.append(
            f"Share of positive phrases in {name} sentences, by memorization, with 95% intervals: "
            f"{', '.join(parts)}."
        )
    return tuple(said)


_COLORS = (VERMILION, BLUE)


def typicality_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the mean fraction by tenth, and each class's distribution in all and the last tenth.

    Args:
      table: the table of `typicality`.
    """
    classes = table["class"].unique().tolist()
    figure = new_figure(WIDE, 4.2)
    curve, *distributions = figure.subplots(
        1, 1 + len(classes), width_ratios=[1.6] + [1] * len(classes)
    )
    plain(curve)
    shown = [literal(str(name)) for name in classes]
    for name, called, color in zip(classes, shown, _COLORS, strict=False):
        rows = table[table["class"] == name].set_index("group")
        tenths = rows.drop("all")
        place = tenths.index.astype(int)
        curve.fill_between(place, tenths["low"], tenths["high"], color=color, alpha=0.2, lw=0)
        curve.plot(place, tenths["fraction"], "o-", color=color, label=f"{called}, a tenth")
        curve.axhline(rows.loc["all", "fraction"], color=color, lw=1, ls=":")
        curve.plot(place, tenths["paper"], "D", color=color, mfc="none", ms=8)
    curve.plot([], [], ":", color=GREY, label="all of a class")
    if table["paper"].notna().any():
        curve.plot([], [], "D", color=GREY, mfc="none", ms=8, label="Zheng & Jiang (2022)")
    curve.set_xticks(range(1, 11))
    curve.set_xlabel("tenth of the class by memorization (10: most)")
    curve.set_ylabel("positive phrases, mean (95% interval)")
    curve.set_ylim(0, 1)
    curve.yaxis.set_major_formatter(PercentFormatter(1))
    edges = np.linspace(0, 1, 11)
    bins = [column for column in table.columns if column.startswith("from_")]
    for axes, name, called, color in zip(distributions, classes, shown, _COLORS, strict=False):
        rows = table[table["class"] == name].set_index("group")
        plain(axes).stairs(rows.loc["all", bins], edges, fill=True, color=color, alpha=0.3)
        axes.stairs(rows.loc["10", bins], edges, color=color, lw=2)
        axes.set_title(f"{called} sentences", fontsize=10)
        axes.set_xlabel("positive phrases")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(1, decimals=0))
    distributions[0].set_ylabel("share of the sentences")
    handles, said = curve.get_legend_handles_labels()
    handles += [Patch(color=GREY, alpha=0.3), Line2D([], [], color=GREY, lw=2)]
    said += ["distribution of all", "of the most memorized tenth"]
    figure.legend(handles, said, frameon=False, fontsize=9, loc="outside lower center", ncols=3)
    return figure


EXPERIMENT = Experiment(
    name="typicality",
    question="Are memorized sentences atypical?",
    source="Zheng & Jiang (2022), Sec. 3.2, Table 1, Fig. 4",
    trains="nothing",
    reading=(
        "The curves of the two classes approach each other to the right, where sentences are "
        "memorized, if memorized sentences are atypical. Diamonds are the paper's values; "
        "histograms compare all sentences with the most memorized tenth."
    ),
    settings=NoSettings,
    needs=(Memorization,),
    sections=("dataset",),
    conduct=typicality,
    draw=typicality_figure,
    checks=(phrases, ten_of_each_class),
    example="sst2_head --out runs/sst2_head --set dataset.data_dir=sst2",
    results="findings.md#typicality",
)
