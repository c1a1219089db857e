"""From integer counts over trials to memorization and influence, with their errors.

Both estimates are a difference of two proportions (Feldman & Zhang 2020, Alg. 1, lines 5 and 7):
how often an example is predicted correctly by models that were trained on example `i`, less how
often by models that were not.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfmem.estimation.kernels import ones


@dataclass(frozen=True)
class TrainCounts:
    """Sums over trials for some training examples.

    Attributes:
      num_trials: number of trials `t`.
      index: int64 `[train]`, the examples, ascending.
      label: int64 `[train]`, their classes.
      num_in: int64 `[train]`, trials with the example in the subset.
      correct: int64 `[train]`, trials that predict the example correctly.
      correct_in: int64 `[train]`, those of them with the example in the subset.
    """

    num_trials: int
    index: np.ndarray
    label: np.ndarray
    num_in: np.ndarray
    correct: np.ndarray
    correct_in: np.ndarray

    @property
    def num_out(self) -> np.ndarray:
        """Trials without the example, int64 `[train]`."""
        return self.num_trials - self.num_in


@dataclass(frozen=True)
class TestCounts:
    """Sums over trials for some test examples; arrays are int64 `[test]`.

    Attributes:
      index: which they are, ascending.
      label: their classes.
      correct: trials that predict them correctly.
    """

    index: np.ndarray
    label: np.ndarray
    correct: np.ndarray


@dataclass(frozen=True)
class ClassCounts:
    """Sums over trials for the examples of one class.

    Attributes:
      label: the class.
      train: sums for its training examples.
      test_index: int64 `[test]`, its test examples, ascending.
      test_correct: int64 `[test]`, trials that predict the test example correctly.
      test_correct_in: int32 `[train, test]`, those of them with the training example in the subset.
    """

    label: int
    train: TrainCounts
    test_index: np.ndarray
    test_correct: np.ndarray
    test_correct_in: np.ndarray


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
    """Difference of two proportions; all arrays have the shape of the counts.

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
    correct_in: np.ndarray, num_in: np.ndarray, correct_out: np.ndarray, num_out: np.ndarray
) -> Difference:
    """Difference of two proportions with standard error and 95% interval.

    The interval is that of Agresti & Caffo (2000): one success and one failure are added to each
    sample before the normal approximation. Of three intervals it has the best least coverage over
    probabilities from 0 to 1, at a mean width like the others' (`tests/test_intervals.py` has the
    exact numbers). The standard error is that of the same samples, so it is never 0, also where
    models are always right. All results are NaN where an example was in every trial or in none.

    Args:
      correct_in: trials that are correct among those with the example in the subset.
      num_in: number of trials with the example in the subset.
      correct_out: trials that are correct among the others.
      num_out: number of the others.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        value = correct_in / num_in - correct_out / num_out
    p_in = (correct_in + 1) / (num_in + 2)
    p_out = (correct_out + 1) / (num_out + 2)
    stderr = np.sqrt(p_in * (1 - p_in) / (num_in + 2) + p_out * (1 - p_out) / (num_out + 2))
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


Samples = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def train_samples(counts: TrainCounts) -> Samples:
    """The counts behind memorization, as arguments for `difference` and `variance`, `[train]`."""
    return counts.correct_in, counts.num_in, counts.correct - counts.correct_in, counts.num_out


def class_samples(counts: ClassCounts) -> Samples:
    """The counts behind influence, likewise; they broadcast to `[train, test]`."""
    correct_out = counts.test_correct - counts.test_correct_in
    num_in, num_out = counts.train.num_in[:, None], counts.train.num_out[:, None]
    return counts.test_correct_in, num_in, correct_out, num_out


def memorization(counts: TrainCounts) -> Difference:
    """Subsampled memorization of each training example (Feldman & Zhang 2020, Alg. 1, line 5).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train]`, values in [-1, 1].
    """
    return difference(*train_samples(counts))


def influence(counts: ClassCounts) -> Difference:
    """Subsampled influence of each training on each test example (Alg. 1, line 7).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train, test]`, values in [-1, 1].
    """
    return difference(*class_samples(counts))
