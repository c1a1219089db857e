"""Are memorized sentences atypical (Zheng & Jiang 2022, Sec. 3.2, Table 1 and App. D)?

A positive sentence is typical if most of its phrases are positive, a negative one if few are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from tfmem.datasets import AnyDataset
from tfmem.experiments.needs import GROUPS, train_phrases
from tfmem.experiments.outcome import Outcome
from tfmem.messages.errors import InputError

QUESTION = "Are memorized sentences atypical?"
_SMOOTHING = 0.01  # k of eq. 24
_RESAMPLES = 1000
# Table 1, in percent, by class and group; groups are tenths, of which the last is memorized most.
_PAPER = {
    "negative": {"all": 23.24, "1": 14.92, "10": 35.80},
    "positive": {"all": 86.39, "1": 94.52, "10": 74.00},
}


def positive_fraction(phrases: np.ndarray) -> np.ndarray:
    """Share of positive among positive and negative phrases, smoothed (eq. 24, k = 0.01).

    Args:
      phrases: int64 `[examples, 5]`, phrases of each polarity from very negative to very positive.

    Returns:
      float64 `[examples]` in (0, 1); 1/2 of a sentence that has neither.
    """
    negative, positive = phrases[:, :2].sum(axis=1), phrases[:, 3:].sum(axis=1)
    return (positive + _SMOOTHING) / (positive + negative + 2 * _SMOOTHING)


def typicality(dataset: AnyDataset, memorization: np.ndarray) -> Outcome:
    """Positive phrases in tenths of each class by memorization.

    Args:
      dataset: sentences with counts of their phrases.
      memorization: float `[num_train]`; examples with NaN are left out.

    Returns:
      A row for each `class` and `group`: `all`, and tenths from `1`, the least memorized, to `10`.
      The mean `fraction` of positive phrases has a 95% bootstrap interval over examples; `paper` is
      Table 1's, NaN where it has none; `from_0.0` to `from_0.9` are shares of the examples with a
      fraction from there on to 0.1 more (Fig. 4).

    Raises:
      InputError: if there are no phrase labels, or a class has fewer than ten examples.
    """
    fraction = positive_fraction(train_phrases(dataset))
    rows = []
    for label, name in enumerate(dataset.class_names):
        known = np.flatnonzero((dataset.train_labels == label) & ~np.isnan(memorization))
        if len(known) < GROUPS:
            raise InputError(
                f"typicality: expected at least {GROUPS} examples of class {name} with "
                f"memorization, received {len(known)}"
            )
        ranked = known[np.argsort(memorization[known], kind="stable")]
        tenths = dict(
            zip(map(str, range(1, GROUPS + 1)), np.array_split(ranked, GROUPS), strict=True)
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
    return Outcome(QUESTION, _findings(table), table)


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
            f"Positive phrases in {name} sentences by memorization, with 95% intervals: "
            f"{', '.join(parts)}."
        )
    return tuple(said)
