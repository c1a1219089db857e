"""Finds the pairs whose counts are beyond a bound, and stores no others.

All pairs of ImageNet's training and test examples are 6.4e10; the few that matter are picked out
while their counts are still in registers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from tfmem.estimation.kernels import ones, shares
from tfmem.estimation.tiles import COLUMNS, ROWS, as_panels, padded, search_rows

_NEVER = 1e12  # no count comes near
_SLACK = 1e-3  # of a count: rounding must not lose a pair; who asks compares exactly


class FoundPairs(NamedTuple):
    """Pairs, by row, then by column.

    Attributes:
      row: int64 `[found]`.
      column: int64 `[found]`.
      both: int64 `[found]`, in how many trials both are set; or float64, the sum of the column's
        numbers `z` over trials in which the row is set.
      uncertain_in: float64 `[found]`, the sum of their `z (1 - z)`; None for bits.
    """

    row: np.ndarray
    column: np.ndarray
    both: np.ndarray
    uncertain_in: np.ndarray | None = None


class TooMany(Exception):
    """More pairs are beyond the bounds than there is room for."""


class Search:
    """Searches rows against a fixed set of columns.

    Attributes:
      num_trials: number of trials `t`.
      column_ones: int64 `[columns]`, how often each column is set.
    """

    def __init__(
        self, columns: np.ndarray, num_trials: int, capacity: int, threads: int | None = None
    ) -> None:
        """Arranges the columns.

        Args:
          columns: uint64 `[columns, words]`, packed along trials.
          num_trials: number of trials; bits beyond it are 0.
          capacity: how many pairs one call can find; it takes 12 bytes each.
          threads: how many to search with; None is one for each core.
        """
        self.num_trials = num_trials
        self.column_ones = ones(columns)
        self._panels = as_panels(columns)
        self._capacity = capacity
        self._threads = threads

    def __call__(
        self, rows: np.ndarray, row_ones: np.ndarray, low: np.ndarray, high: np.ndarray
    ) -> FoundPairs:
        """All pairs with `covariance <= low` or `covariance >= high`, and perhaps a few beside.

        The covariance of row `i` and column `j` is `t * both - row_ones[i] * column_ones[j]`, with
        `both` the number of trials in which both are set.

        Args:
          rows: uint64 `[rows, words]`.
          row_ones: int64 `[rows]`, how often each row is set.
          low: float64 `[columns]`; minus infinity finds none.
          high: float64 `[columns]`; infinity finds none.

        Raises:
          TooMany: if they exceed the capacity.
        """
        if not len(rows) or not len(self.column_ones):
            return FoundPairs(*np.zeros((3, 0), np.int64))
        bits = padded(rows, ROWS)
        values = np.zeros(len(bits))
        values[: len(rows)] = row_ones
        parts = shares(len(bits), self._threads)
        room = -(-self._capacity // len(parts))
        bounds = self._bounds(low, high)

        def search(part: slice) -> np.ndarray:
            found = np.empty((room, 3), np.int32)
            end = min(part.stop, len(rows)) - part.start
            count = search_rows(bits[part], values[part], end, self._panels, bounds, found)
            if count > room:
                raise TooMany
            found = found[:count]
            found[:, 0] += part.start
            return found

        with ThreadPoolExecutor(len(parts)) as pool:
            found = np.concatenate(list(pool.map(search, parts))).astype(np.int64)
        order = np.lexsort((found[:, 1], found[:, 0]))
        return FoundPairs(*found[order].T)

    def _bounds(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """What `search_rows` takes, float64 `[panels, 3, 16]`."""
        base, slope = np.full((2, len(self._panels) * COLUMNS), _NEVER)
        width = np.full(len(base), 3 * _NEVER)
        count = len(self.column_ones)
        upper = np.minimum(high / self.num_trials - _SLACK, _NEVER)
        lower = np.maximum(low / self.num_trials + _SLACK, -_NEVER)
        slope[:] = 0
        base[:count], slope[:count] = upper, self.column_ones / self.num_trials
        width[:count] = upper - lower
        panels = np.stack([base, slope, width]).reshape(3, -1, COLUMNS)
        return np.ascontiguousarray(panels.transpose(1, 0, 2))
