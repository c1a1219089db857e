"""Estimates the influence of training on test examples of one class from its counts."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

import numpy as np

from tfmem.estimation.differences import Difference
from tfmem.estimation.estimator import ClassCounts, TrainCounts, influence, mean
from tfmem.messages.errors import InputError


class InfluenceBlock:
    """Influence of the training on the test examples of one class.

    Attributes:
      label: the class.
      statistic: of what means were compared; `correctness`, as in the paper, or another.
      score: name of the score, where the statistic is that.
      train_index: int64 `[train]`.
      test_index: int64 `[test]`.
      n_in: int64 `[train]`, trials with the training example in the subset.
      n_out: int64 `[train]`, trials without it.
      influence: float64 `[train, test]`; NaN where `n_in` or `n_out` is 0.
    """

    def __init__(self, counts: ClassCounts) -> None:
        """Estimates from counts."""
        self.label = counts.label
        self.statistic, self.score = counts.measure.statistic, counts.measure.score
        self.train_index = counts.train.index
        self.test_index = counts.test_index
        self.n_in = counts.train.num_in
        self.n_out = counts.train.num_out
        self._counts = counts

    def __repr__(self) -> str:
        train, test = len(self.train_index), len(self.test_index)
        trials = self._counts.train.num_trials
        return (
            f"InfluenceBlock(class {self.label}: {train:,} training x {test:,} test examples, "
            f"{trials:,} trials)"
        )

    @property
    def train(self) -> TrainCounts:
        """The sums over trials of the training examples."""
        return self._counts.train

    @cached_property
    def errors(self) -> Difference:
        """Influence with `stderr` and the 95% interval from `low` to `high`, `[train, test]`."""
        return influence(self._counts)

    @property
    def influence(self) -> np.ndarray:
        """Influence, float64 `[train, test]`."""
        return self.errors.value

    @property
    def test_accuracy(self) -> np.ndarray:
        """How often models are right on each test example, float64 `[test]`.

        With another statistic, its mean.
        """
        counts = self._counts
        return mean(counts.test_correct, counts.train.num_trials, counts.test_scale)

    def of(self, train_index: np.ndarray) -> InfluenceBlock:
        """Takes the part of the block for some training examples, in memory of its own.

        Args:
          train_index: int64, any training examples; those of other classes are left out.
        """
        counts, rows = self._counts, np.flatnonzero(np.isin(self.train_index, train_index))
        both, uncertain = counts.test_correct_in, counts.test_uncertain_in
        return InfluenceBlock(
            replace(
                counts,
                train=counts.train.take(rows),
                test_correct_in=both[rows],
                test_uncertain_in=None if uncertain is None else uncertain[rows],
            )
        )

    def most_influenced(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the test examples that a training example influences most, and by how much.

        Raises:
          InputError: if the training example is of another class.
        """
        row = np.flatnonzero(self.train_index == train_index)
        if not len(row):
            raise InputError(f"training example {train_index} is not of class {self.label}")
        values = self.influence[row[0]]
        best = np.argsort(-values, kind="stable")[:count]
        return self.test_index[best], values[best]
