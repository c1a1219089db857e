"""From sums over trials to memorization and influence, with their errors.

Both estimates are a difference of two means (Feldman & Zhang 2020, Alg. 1, lines 5 and 7): how
often an example is predicted correctly by models that were trained on example `i`, less how often
by models that were not. With the statistic `probability`, the probability `p` that a model gives
the true label takes the place of its correctness, 0 or 1, and float64 sums that of counts. Errors
need sums of `p (1 - p)` too, which for correctness are 0 and left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from tfmem.config.steps import Statistic
from tfmem.estimation.kernels import ones


@dataclass(frozen=True)
class TrainCounts:
    """Sums over trials for some training examples.

    Attributes:
      num_trials: number of trials `t`.
      index: int64 `[train]`, the examples, ascending.
      label: int64 `[train]`, their classes.
      num_in: int64 `[train]`, trials with the example in the subset.
      correct: int64 `[train]`, trials that predict the example correctly; float64 sums of
        probabilities where the statistic is that.
      correct_in: likewise `[train]`, of those of them with the example in the subset.
      uncertain: float64 `[train]`, sums of `p (1 - p)`; None where the statistic is correctness.
      uncertain_in: likewise `[train]`, over trials with the example in the subset.
    """

    num_trials: int
    index: np.ndarray
    label: np.ndarray
    num_in: np.ndarray
    correct: np.ndarray
    correct_in: np.ndarray
    uncertain: np.ndarray | None = None
    uncertain_in: np.ndarray | None = None

    @property
    def num_out(self) -> np.ndarray:
        """Trials without the example, int64 `[train]`."""
        return self.num_trials - self.num_in

    def take(self, rows: np.ndarray) -> TrainCounts:
        """Some of the examples."""
        arrays = {name: value for name, value in vars(self).items() if np.ndim(value)}
        return replace(self, **{name: value[rows] for name, value in arrays.items()})


@dataclass(frozen=True)
class TestCounts:
    """Sums over trials for some test examples; arrays are int64 `[test]`.

    Attributes:
      index: which they are, ascending.
      label: their classes.
      correct: trials that predict them correctly, or float64 sums of probabilities.
      uncertain: float64, sums of `p (1 - p)`; None where the statistic is correctness.
    """

    index: np.ndarray
    label: np.ndarray
    correct: np.ndarray
    uncertain: np.ndarray | None = None


@dataclass(frozen=True)
class ClassCounts:
    """Sums over trials for the examples of one class.

    Attributes:
      label: the class.
      train: sums for its training examples.
      test_index: int64 `[test]`, its test examples, ascending.
      test_correct: int64 `[test]`, trials that predict the test example correctly, or float64 sums
        of probabilities.
      test_correct_in: int32 `[train, test]`, those of them with the training example in the subset,
        or float64 likewise.
      test_uncertain: float64 `[test]`, sums of `p (1 - p)`; None for correctness.
      test_uncertain_in: likewise `[train, test]`, with the training example in the subset.
    """

    label: int
    train: TrainCounts
    test_index: np.ndarray
    test_correct: np.ndarray
    test_correct_in: np.ndarray
    test_uncertain: np.ndarray | None = None
    test_uncertain_in: np.ndarray | None = None

    @property
    def statistic(self) -> Statistic:
        """What was summed."""
        return "correctness" if self.test_uncertain is None else "probability"


def count_train(
    num_trials: int,
    index: np.ndarray,
    label: np.ndarray,
    masks: np.ndarray,
    correct: np.ndarray,
) -> TrainCounts:
    """Counts over trials of training examples.

    Args:
      num_trials: number of trials; bits beyond it are 0.
      index: int64 `[train]`.
      label: int64 `[train]`.
      masks: uint64 `[train, words]`, subsets packed along trials.
      correct: uint64 `[train, words]`, correctness on training examples.
    """
    return TrainCounts(num_trials, index, label, ones(masks), ones(correct), ones(masks & correct))


@dataclass(frozen=True)
class Difference:
    """Difference of two means; all arrays have the shape of the counts.

    Attributes:
      value: float64, `correct_in / num_in - correct_out / num_out`; NaN where a number is 0.
      stderr: float64, standard error.
      low: float64, lower end of the 95% interval.
      high: float64, upper end.
    """

    value: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray


def difference(
    correct_in: np.ndarray,
    num_in: np.ndarray,
    correct_out: np.ndarray,
    num_out: np.ndarray,
    uncertain_in: np.ndarray | None = None,
    uncertain_out: np.ndarray | None = None,
) -> Difference:
    """Difference of two proportions, or mean probabilities, with standard error and 95% interval.

    The interval is that of Agresti & Caffo (2000): one success and one failure are added to each
    sample before the normal approximation. Of three intervals it has the best least coverage over
    probabilities from 0 to 1, at a mean width like the others' (`tests/test_intervals.py` has the
    exact numbers). The standard error is that of the same samples, so it is never 0, also where
    models are always right. All results are NaN where an example was in every trial or in none.

    Probabilities are treated alike: a 1 and a 0 are added to each sample, whose variance is then
    `mean (1 - mean)` less the mean of `p (1 - p)`. Welch's interval, which adds nothing, misses a
    probability that is nearly always 1 and rarely 0 (`tests/test_probability.py`).

    Args:
      correct_in: trials that are correct among those with the example in the subset, or the sum of
        their probabilities.
      num_in: number of trials with the example in the subset.
      correct_out: trials that are correct among the others, or the sum of their probabilities.
      num_out: number of the others.
      uncertain_in: sum of `p (1 - p)` over trials with the example; None for correctness.
      uncertain_out: likewise over the others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = correct_in / num_in - correct_out / num_out
    p_in = (correct_in + 1) / (num_in + 2)
    p_out = (correct_out + 1) / (num_out + 2)
    variance = p_in * (1 - p_in) / (num_in + 2) + p_out * (1 - p_out) / (num_out + 2)
    if uncertain_in is not None and uncertain_out is not None:
        variance -= uncertain_in / (num_in + 2) ** 2 + uncertain_out / (num_out + 2) ** 2
    stderr = np.sqrt(variance)
    stderr = np.where(np.isnan(value), np.nan, stderr)
    half = NormalDist().inv_cdf(0.975) * stderr
    center = p_in - p_out
    return Difference(value, stderr, np.maximum(center - half, -1), np.minimum(center + half, 1))


def variance(
    correct_in: np.ndarray, num_in: np.ndarray, correct_out: np.ndarray, num_out: np.ndarray
) -> np.ndarray:
    """Unbiased estimate of the sampling variance of a difference of two proportions.

    It is `p_in (1 - p_in) / (num_in - 1)` and the same of the others; NaN with fewer than two
    trials in either. Summed over many estimates it says what their squared errors sum to, which
    `difference`'s standard errors, cautious where models are always right, overstate.

    Args:
      correct_in: as for `difference`, likewise the others.
      num_in: number of trials with the example in the subset.
      correct_out: trials that are correct among the others.
      num_out: number of the others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        p_in, p_out = correct_in / num_in, correct_out / num_out
        return p_in * (1 - p_in) / (num_in - 1) + p_out * (1 - p_out) / (num_out - 1)


class Samples(NamedTuple):
    """Correct trials, and all trials, with an example and without it; arrays that broadcast."""

    correct_in: np.ndarray
    num_in: np.ndarray
    correct_out: np.ndarray
    num_out: np.ndarray


def train_samples(counts: TrainCounts) -> Samples:
    """The counts behind memorization, as arguments for `difference` and `variance`, `[train]`."""
    correct_out = counts.correct - counts.correct_in
    return Samples(counts.correct_in, counts.num_in, correct_out, counts.num_out)


def class_samples(counts: ClassCounts) -> Samples:
    """The counts behind influence, likewise; they broadcast to `[train, test]`."""
    correct_out = counts.test_correct - counts.test_correct_in
    num_in, num_out = counts.train.num_in[:, None], counts.train.num_out[:, None]
    return Samples(counts.test_correct_in, num_in, correct_out, num_out)


def memorization(counts: TrainCounts) -> Difference:
    """Subsampled memorization of each training example (Feldman & Zhang 2020, Alg. 1, line 5).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train]`, values in [-1, 1].
    """
    uncertain_out = less(counts.uncertain, counts.uncertain_in)
    return difference(*train_samples(counts), counts.uncertain_in, uncertain_out)


def influence(counts: ClassCounts) -> Difference:
    """Subsampled influence of each training on each test example (Alg. 1, line 7).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train, test]`, values in [-1, 1].
    """
    uncertain_out = less(counts.test_uncertain, counts.test_uncertain_in)
    return difference(*class_samples(counts), counts.test_uncertain_in, uncertain_out)


def less(total: np.ndarray | None, part: np.ndarray | None) -> np.ndarray | None:
    """`total - part`, or None where either is None."""
    return None if total is None or part is None else total - part
