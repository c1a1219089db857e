"""Which differences reach a threshold that is in the unit of the statistic, or in SDs.

A difference of two means of `z` (see `tfmem.estimation.estimator`) is here a covariance: the
difference times `num_in * num_out`, which is what sums over trials give without a division.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from tfmem.estimation.estimator import TestCounts, TrainCounts
from tfmem.estimation.scales import Scale
from tfmem.estimation.thresholds import counts_at_least

Unit = Literal["score", "sd"]


def spread_of(counts: TrainCounts | TestCounts, trials: int) -> np.ndarray:
    """Variance of a covariance without influence, over `num_in * num_out`, `[examples]`."""
    squares = counts.correct * (trials - counts.correct)
    if counts.uncertain is not None:
        squares = np.maximum(squares - trials * counts.uncertain, 0)
    return squares / max(trials - 1, 1)


def width_of(scale: Scale | None) -> np.ndarray | None:
    """The width of the scale of each example, if there are scales."""
    return scale and scale.width


def least_covariance(
    threshold: float,
    unit: Unit,
    squares: np.ndarray | float,
    trials: int,
    spread: np.ndarray,
    width: np.ndarray | None,
) -> np.ndarray:
    """The covariances at which differences reach a threshold; arrays broadcast.

    In SDs, `threshold` is Cohen's d: the difference over the pooled standard deviation of `z` among
    trials with and among trials without the training example. The sum of squares within both is
    that of all trials less `difference**2 * num_in * num_out / trials`, so that the least
    difference follows from all trials alone.

    Args:
      threshold: the least difference.
      unit: the unit of the threshold.
      squares: `num_in * num_out`.
      trials: number of trials `t`.
      spread: see `spread_of`.
      width: of the examples' scales; None if they have none.

    Returns:
      float64; infinity in SDs where all trials agree, or with fewer than three trials.
    """
    if unit == "score":
        return np.asarray(threshold * squares / (1.0 if width is None else width))
    if trials < 3:
        return np.full(np.broadcast(squares, spread).shape, np.inf)
    freedom = trials * (trials - 2)
    within = spread * (trials - 1) / freedom
    least = threshold * squares * np.sqrt(within / (1 + threshold**2 * squares / freedom))
    return np.where(spread > 0, least, np.inf)


def reaches(
    covariance: np.ndarray,
    squares: np.ndarray,
    threshold: float,
    unit: Unit,
    trials: int,
    spread: np.ndarray,
    width: np.ndarray | None,
) -> np.ndarray:
    """Whether differences reach a threshold, bool; arguments as for `least_covariance`.

    Thresholds of differences of proportions are compared as exact fractions, so that an influence
    of 3/20 is at the threshold 0.15.
    """
    if unit == "score" and width is None:
        return counts_at_least(covariance, squares, threshold)
    return covariance >= least_covariance(threshold, unit, squares, trials, spread, width)
