"""Selection of high-influence pairs, and their statistics (Feldman & Zhang 2020, Sec. 2 and 3)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from fractions import Fraction

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts, difference, memorization


@dataclass(frozen=True)
class Pairs:
    """Pairs of a training and a test example of one class; all arrays are `[pairs]`.

    Attributes:
      train_index: int64.
      test_index: int64.
      label: int64, the class of both.
      memorization: float64, of the training example.
      influence: float64, of the training on the test example.
      stderr: float64, standard error of the influence.
      ci_low: float64, lower end of the 95% interval of the influence.
      ci_high: float64, upper end.
    """

    train_index: np.ndarray
    test_index: np.ndarray
    label: np.ndarray
    memorization: np.ndarray
    influence: np.ndarray
    stderr: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray


def select(counts: ClassCounts, settings: SelectionSettings) -> Pairs:
    """The pairs of one class with memorization and influence at or above their thresholds.

    The thresholds are compared as exact fractions of the counts, so that an influence of 3/20 is at
    the threshold 0.15 although the difference of its floating-point quotients is below it.

    Args:
      counts: sums over trials for the class.
      settings: the thresholds.
    """
    out = counts.num_trials - counts.num_in
    memorized = _at_least(
        counts.train_correct_in,
        counts.num_in,
        counts.train_correct - counts.train_correct_in,
        out,
        settings.memorization,
    )
    candidates = np.flatnonzero(memorized)
    num_in, num_out = counts.num_in[candidates, None], out[candidates, None]
    correct_in = counts.test_correct_in[candidates].astype(np.int64)
    correct_out = counts.test_correct - correct_in
    row, column = np.nonzero(
        _at_least(correct_in, num_in, correct_out, num_out, settings.influence)
    )
    influence = difference(
        correct_in[row, column], num_in[row, 0], correct_out[row, column], num_out[row, 0]
    )
    train = candidates[row]
    return Pairs(
        train_index=counts.train_index[train],
        test_index=counts.test_index[column],
        label=np.full(len(row), counts.label, np.int64),
        memorization=memorization(counts).value[train],
        influence=influence.value,
        stderr=influence.stderr,
        ci_low=influence.low,
        ci_high=influence.high,
    )


def _at_least(
    correct_in: np.ndarray,
    num_in: np.ndarray,
    correct_out: np.ndarray,
    num_out: np.ndarray,
    threshold: float,
) -> np.ndarray:
    """Whether `correct_in / num_in - correct_out / num_out >= threshold`, in integers."""
    exact = Fraction(str(threshold)).limit_denominator(10**6)
    left = (correct_in * num_out - correct_out * num_in) * exact.denominator
    return (num_in > 0) & (num_out > 0) & (left >= exact.numerator * num_in * num_out)


def concatenate(parts: Iterable[Pairs]) -> Pairs:
    """Joins selections, most influential pair first; ties by training, then by test index."""
    parts = [_NONE, *parts]
    joined = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Pairs)
    }
    order = np.lexsort((joined["test_index"], joined["train_index"], -joined["influence"]))
    return Pairs(**{name: values[order] for name, values in joined.items()})


_NONE = Pairs(*(np.zeros(0, np.int64),) * 3, *(np.zeros(0),) * 5)


@dataclass(frozen=True)
class PairStatistics:
    """What the paper reports of a selection (Sec. 3 and App. C).

    Attributes:
      pairs: number of pairs.
      unique_train: number of different training examples in them.
      unique_test: number of different test examples in them.
      influencers: `influencers[k]` test examples are influenced by exactly `k` training examples.
    """

    pairs: int
    unique_train: int
    unique_test: int
    influencers: dict[int, int]


def statistics(pairs: Pairs) -> PairStatistics:
    """Counts unique examples, and how many test examples have exactly 1, 2, 3, … influencers."""
    _, multiplicity = np.unique(pairs.test_index, return_counts=True)
    times, tests = np.unique(multiplicity, return_counts=True)
    return PairStatistics(
        pairs=len(pairs.train_index),
        unique_train=len(np.unique(pairs.train_index)),
        unique_test=len(multiplicity),
        influencers=dict(zip(times.tolist(), tests.tolist(), strict=True)),
    )
