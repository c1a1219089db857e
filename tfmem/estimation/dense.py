"""Influence of training examples on all test examples at once, without a selection.

Counts become estimates while they are in cache: neither those of a block nor its float64
quotients are ever held.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfmem.estimation.compiling import compiled
from tfmem.estimation.kernels import ones, shares
from tfmem.estimation.tiles import COLUMNS, ROWS, aligned, as_panels, count_rows, padded

_BLOCK = 64  # rows that a thread counts before it divides


class DenseInfluence:
    """Influence on a fixed set of test examples.

    Attributes:
      num_trials: number of trials `t`.
      num_test: number of test examples.
    """

    def __init__(
        self, test_correct: np.ndarray, num_trials: int, threads: int | None = None
    ) -> None:
        """Arranges the test examples.

        Args:
          test_correct: uint64 `[test, words]`, which trials are right on each, packed along trials.
          num_trials: number of trials; bits beyond it are 0.
          threads: how many to count with; None is one for each core.
        """
        self.num_trials = num_trials
        self.num_test = len(test_correct)
        self._correct = ones(test_correct).astype(np.float64)
        self._panels = as_panels(test_correct)
        self._threads = threads

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Influence of training examples (Feldman & Zhang 2020, Alg. 1, line 7).

        Args:
          masks: uint64 `[train, words]`, which trials have each in their subset.

        Returns:
          float32 `[train, test]` in [-1, 1], what `estimator.influence` has in float64; NaN where
          an example was in every trial or in none.
        """
        out = np.empty((len(masks), self.num_test), np.float32)
        if not out.size:
            return out
        bits = padded(masks, ROWS)
        num_in = ones(masks).astype(np.float64)
        num_out = self.num_trials - num_in

        def fill(part: slice) -> None:
            counts = aligned(min(_BLOCK, part.stop - part.start), len(self._panels) * COLUMNS)
            for start in range(part.start, min(part.stop, len(masks)), _BLOCK):
                rows = slice(start, min(start + _BLOCK, part.stop, len(bits)))
                count_rows(bits[rows], self._panels, counts)
                rows = slice(start, min(rows.stop, len(masks)))
                _divide(counts, num_in[rows], num_out[rows], self._correct, out[rows])

        parts = shares(len(bits), self._threads)
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(fill, parts))
        return out


@compiled
def _divide(
    counts: np.ndarray,
    num_in: np.ndarray,
    num_out: np.ndarray,
    correct: np.ndarray,
    out: np.ndarray,
) -> None:
    for row in range(out.shape[0]):
        there, absent = num_in[row], num_out[row]
        for column in range(out.shape[1]):
            both = np.float64(counts[row, column])
            value = both / there - (correct[column] - both) / absent
            out[row, column] = np.float32(value)
