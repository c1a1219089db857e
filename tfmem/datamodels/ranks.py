"""Spearman's rank correlations of many columns, also of resampled rows, in exact integers."""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from tfmem.datamodels.threads import in_threads
from tfmem.estimation.compiling import compiled


def spearman(
    first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Rank correlations between the columns of two arrays; ties have their middle rank.

    Ranks count as integers, so equal orders give equal bytes.

    Args:
      first: `[rows, columns]`.
      second: `[rows, columns]`.
      weights: int32 `[resamples, rows]`, how often each row occurs in each resample of the rows;
        None is once each row.

    Returns:
      float64 `[resamples, columns]` in [-1, 1]; NaN where one of the two columns is constant.
    """
    if weights is None:
        weights = np.ones((1, len(first)), np.int32)
    out = np.empty((first.shape[1], len(weights)))
    x, y, times = _dense(first), _dense(second), np.ascontiguousarray(weights, np.int32)
    in_threads(lambda part: _correlate(x[part], y[part], times, out[part]), len(out))
    return out.T


def _dense(values: np.ndarray) -> np.ndarray:
    """Ranks from 0 without gaps within each column, int32 `[columns, rows]`."""
    return np.ascontiguousarray(rankdata(values, method="dense", axis=0).T.astype(np.int32) - 1)


@compiled
def _correlate(first: np.ndarray, second: np.ndarray, weights: np.ndarray, out: np.ndarray) -> None:
    """Correlates the middle ranks of rows `[columns, rows]` of dense ranks from 0."""
    columns, rows = first.shape
    for column in range(columns):
        x, y = first[column], second[column]
        below_x, below_y = np.empty(rows, np.int64), np.empty(rows, np.int64)
        for resample in range(weights.shape[0]):
            below_x[:] = 0
            below_y[:] = 0
            total = 0
            for row in range(rows):
                weight = weights[resample, row]
                below_x[x[row]] += weight
                below_y[y[row]] += weight
                total += weight
            _middle(below_x, total)
            _middle(below_y, total)
            xx, yy, xy = 0, 0, 0
            for row in range(rows):
                weight = weights[resample, row]
                a, b = below_x[x[row]], below_y[y[row]]
                xx += weight * a * a
                yy += weight * b * b
                xy += weight * a * b
            varies = xx > 0 and yy > 0
            out[column, resample] = xy / np.sqrt(float(xx) * float(yy)) if varies else np.nan


@compiled
def _middle(counts: np.ndarray, total: int) -> None:
    """Turns the counts of ascending values into twice their middle ranks, less the mean of it."""
    below = 0
    for value in range(len(counts)):
        count = counts[value]
        counts[value] = 2 * below + count - total
        below += count
