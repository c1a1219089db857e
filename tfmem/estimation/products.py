"""Sums of test examples' numbers over the subsets of training examples, for all pairs in blocks.

All numbers are multiples of 2^-32 from 0 to 1 (see `tfmem.estimation.sums`), so a matrix product
gives the same bytes whatever the blocks, threads or order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfmem.estimation.estimator import TestCounts
from tfmem.estimation.scales import Scale
from tfmem.estimation.search import FoundPairs, TooMany
from tfmem.estimation.sums import uncertainty

_PAIRS = 1 << 22  # whose sums are held at a time: 32 MB


class Products:
    """The numbers of a fixed set of test examples.

    Attributes:
      num_trials: number of trials `t`.
      num_test: number of test examples.
    """

    def __init__(self, z: np.ndarray, scale: Scale | None) -> None:
        """Takes over the numbers.

        Args:
          z: float64 `[trials, test]`.
          scale: of the test examples; None where `z` is what means are taken of.
        """
        self.num_trials, self.num_test = z.shape
        self._z = z
        self._scale = scale
        self._total = z.sum(axis=0)

    def tests(self, labels: np.ndarray) -> TestCounts:
        """Sums over trials for the test examples, whose classes are `labels`."""
        uncertain = uncertainty(self._z).sum(axis=0)
        return TestCounts(np.arange(self.num_test), labels, self._total, uncertain, self._scale)

    def search(
        self,
        rows: np.ndarray,
        row_ones: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
        capacity: int,
    ) -> FoundPairs:
        """All pairs with `covariance <= low` or `covariance >= high` (see `search.Search`).

        Args:
          rows: uint8 `[rows, trials]`, 1 where a trial has the training example in its subset.
          row_ones: int64 `[rows]`, in how many trials that is.
          low: float64 `[test]`.
          high: float64 `[test]`.
          capacity: how many pairs may be found.

        Raises:
          TooMany: if they exceed the capacity.
        """
        found, count = [], 0
        for start, masks, both in self._blocks(rows):
            num_in = row_ones[start : start + len(masks), None]
            covariance = self.num_trials * both - num_in * self._total
            row, column = np.nonzero((covariance <= low) | (covariance >= high))
            count += len(row)
            if count > capacity:
                raise TooMany
            columns, place = np.unique(column, return_inverse=True)
            uncertain = masks @ uncertainty(self._z[:, columns])
            found.append((row + start, column, both[row, column], uncertain[row, place]))
        none = (*np.zeros((2, 0), np.int64), *np.zeros((2, 0)))
        return FoundPairs(*map(np.concatenate, zip(none, *found, strict=True)))

    def influence(self, rows: np.ndarray) -> np.ndarray:
        """Influence of training examples (Feldman & Zhang 2020, Alg. 1, line 7).

        Args:
          rows: uint8 `[rows, trials]`, as for `search`.

        Returns:
          float32 `[rows, test]` in the unit of the statistic, what `estimator.influence` has in
          float64; NaN where an example was in every trial or in none.
        """
        out = np.empty((len(rows), self.num_test), np.float32)
        for start, masks, both in self._blocks(rows):
            num_in = masks.sum(axis=1)[:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                value = both / num_in - (self._total - both) / (self.num_trials - num_in)
            if self._scale is not None:
                value *= self._scale.width
            out[start : start + len(masks)] = value
        return out

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Rows as float64, where they start, and their sums `[block, test]`."""
        size = max(1, _PAIRS // max(1, self.num_test))
        for start in range(0, len(rows), size):
            masks = rows[start : start + size].astype(np.float64)
            yield start, masks, masks @ self._z
