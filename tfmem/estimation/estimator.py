"""From sums over trials to memorization and influence, with their errors.

Both estimates are a difference of two means (Feldman & Zhang 2020, Alg. 1, lines 5 and 7): how
often an example is predicted correctly by models that were trained on example `i`, less how often
by models that were not. With other statistics, a number `z` from 0 to 1 takes the place of
correctness, 0 or 1, and float64 sums that of counts: the probability of the true label, or what is
made of a score by the example's own scale (see `tfmem.estimation.scales`). Errors need sums of
`z (1 - z)` too, which for correctness are 0 and left out. Where several models are trained on each
subset, their mean is the number `z` of one trial: what they share with the subset would otherwise
count several times, and errors would be too small.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from tfmem.config.estimates import Statistic
from tfmem.estimation.differences import Difference, Samples, difference
from tfmem.estimation.kernels import ones
from tfmem.estimation.scales import Scale


class Measure(NamedTuple):
    """What means over trials are taken of.

    Attributes:
      statistic: the setting `estimation.statistic`.
      score: the name of the records' score, where the statistic is that.
      models: number of models that were trained on each subset (`training.repeats`). They are not
        independent, so their mean counts as one trial.
    """

    statistic: Statistic = "correctness"
    score: str = ""
    models: int = 1

    @property
    def counted(self) -> bool:
        """Whether trials are right or wrong, so that sums over them are counts."""
        return self.statistic == "correctness" and self.models == 1

    def __str__(self) -> str:
        said = f"{self.statistic} ({self.score})" if self.score else self.statistic
        return said if self.models == 1 else f"{said}, mean of {self.models} models"


CORRECTNESS, PROBABILITY = Measure("correctness"), Measure("probability")


@dataclass(frozen=True)
class TrainCounts:
    """Sums over trials for some training examples.

    Attributes:
      num_trials: number of trials `t`.
      index: int64 `[train]`, the examples, ascending.
      label: int64 `[train]`, their classes.
      num_in: int64 `[train]`, trials with the example in the subset.
      correct: int64 `[train]`, trials that predict the example correctly; with other statistics
        float64 sums of `z`.
      correct_in: likewise `[train]`, of those of them with the example in the subset.
      uncertain: float64 `[train]`, sums of `z (1 - z)`; None where the statistic is correctness.
      uncertain_in: likewise `[train]`, over trials with the example in the subset.
      scale: of the examples; None where `z` is what means are taken of.
      measure: what that is.
    """

    num_trials: int
    index: np.ndarray
    label: np.ndarray
    num_in: np.ndarray
    correct: np.ndarray
    correct_in: np.ndarray
    uncertain: np.ndarray | None = None
    uncertain_in: np.ndarray | None = None
    scale: Scale | None = None
    measure: Measure = CORRECTNESS

    @property
    def num_out(self) -> np.ndarray:
        """Trials without the example, int64 `[train]`."""
        return self.num_trials - self.num_in

    def take(self, rows: np.ndarray) -> TrainCounts:
        """Some of the examples."""
        arrays = {n: value for n, value in vars(self).items() if isinstance(value, np.ndarray)}
        scale = self.scale and self.scale.take(rows)
        return replace(self, scale=scale, **{n: value[rows] for n, value in arrays.items()})


def joined(parts: Sequence[TrainCounts]) -> TrainCounts:
    """The examples of at least one part, by index."""
    first = parts[0]
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name, value in vars(first).items()
        if isinstance(value, np.ndarray)
    }
    if first.scale is not None:
        scales = [part.scale for part in parts if part.scale is not None]
        arrays["scale"] = Scale(*map(np.concatenate, zip(*scales, strict=True)))
    return replace(first, **arrays).take(np.argsort(arrays["index"], kind="stable"))


@dataclass(frozen=True)
class TestCounts:
    """Sums over trials for some test examples; arrays are int64 `[test]`.

    Attributes:
      index: which they are, ascending.
      label: their classes.
      correct: trials that predict them correctly, or float64 sums of `z`.
      uncertain: float64, sums of `z (1 - z)`; None where the statistic is correctness.
      scale: of the examples; None where `z` is what means are taken of.
    """

    index: np.ndarray
    label: np.ndarray
    correct: np.ndarray
    uncertain: np.ndarray | None = None
    scale: Scale | None = None


@dataclass(frozen=True)
class ClassCounts:
    """Sums over trials for the examples of one class.

    Attributes:
      label: the class.
      train: sums for its training examples.
      test_index: int64 `[test]`, its test examples, ascending.
      test_correct: int64 `[test]`, trials that predict the test example correctly, or float64 sums
        of `z`.
      test_correct_in: int32 `[train, test]`, those of them with the training example in the subset,
        or float64 likewise.
      test_uncertain: float64 `[test]`, sums of `z (1 - z)`; None for correctness.
      test_uncertain_in: likewise `[train, test]`, with the training example in the subset.
      test_scale: of the test examples; None where `z` is what means are taken of.
    """

    label: int
    train: TrainCounts
    test_index: np.ndarray
    test_correct: np.ndarray
    test_correct_in: np.ndarray
    test_uncertain: np.ndarray | None = None
    test_uncertain_in: np.ndarray | None = None
    test_scale: Scale | None = None

    @property
    def measure(self) -> Measure:
        """What means are taken of."""
        return self.train.measure

    @property
    def statistic(self) -> Statistic:
        """The statistic of the measure."""
        return self.train.measure.statistic


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


def train_samples(counts: TrainCounts) -> Samples:
    """The sums behind memorization, as arguments for `difference` and `variance`, `[train]`."""
    return Samples(
        counts.correct_in,
        counts.num_in,
        counts.correct - counts.correct_in,
        counts.num_out,
        counts.uncertain_in,
        less(counts.uncertain, counts.uncertain_in),
        counts.scale and counts.scale.width,
    )


def class_samples(counts: ClassCounts) -> Samples:
    """The sums behind influence, likewise; they broadcast to `[train, test]`."""
    return Samples(
        counts.test_correct_in,
        counts.train.num_in[:, None],
        counts.test_correct - counts.test_correct_in,
        counts.train.num_out[:, None],
        counts.test_uncertain_in,
        less(counts.test_uncertain, counts.test_uncertain_in),
        counts.test_scale and counts.test_scale.width,
    )


def memorization(counts: TrainCounts) -> Difference:
    """Subsampled memorization of each training example (Feldman & Zhang 2020, Alg. 1, line 5).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train]`, values in the unit of the statistic: in [-1, 1] for correctness.
    """
    return difference(*train_samples(counts))


def influence(counts: ClassCounts) -> Difference:
    """Subsampled influence of each training on each test example (Alg. 1, line 7).

    Args:
      counts: sums over trials.

    Returns:
      Arrays `[train, test]`, values in the unit of the statistic: in [-1, 1] for correctness.
    """
    return difference(*class_samples(counts))


def mean(sums: np.ndarray, number: np.ndarray | int, scale: Scale | None) -> np.ndarray:
    """Means over trials in the unit of the statistic; NaN without trials.

    Args:
      sums: counts, or sums of `z`, that broadcast with `number`.
      number: number of trials.
      scale: of the examples, which are the last axis of `sums`.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        z = sums / number
    return z if scale is None else scale.low + scale.width * z


def less(total: np.ndarray | None, part: np.ndarray | None) -> np.ndarray | None:
    """`total - part`, or None where either is None."""
    return None if total is None or part is None else total - part
