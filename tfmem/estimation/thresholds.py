"""What is at or above a threshold: the one place where estimates are compared with thresholds.

A threshold such as 0.35 is inclusive and means the fraction that is written, 7/20. Counts are
compared as integers. Floating-point numbers are compared with an allowance for the rounding of a
difference of two quotients, which is far below the least distance of such a difference from a
threshold that it is not at: 2.5e-9 for 4,000 trials and two decimals. A number that equals the
threshold when that is rounded to float32 counts as at it, because records hold float32.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

_ROUNDING = 1e-10


def exact(threshold: float) -> Fraction:
    """The fraction that a threshold was written as; floating point has another."""
    return Fraction(str(threshold)).limit_denominator(10**6)


def counts_at_least(covariance: np.ndarray, squares: np.ndarray, threshold: float) -> np.ndarray:
    """Whether `covariance / squares >= threshold`, bool of their shape.

    Args:
      covariance: int64, such as `t * correct_in - num_in * correct`; sums of probabilities are
        float64, and compared as they are.
      squares: int64, such as `num_in * num_out`.
      threshold: the least quotient.
    """
    least = exact(threshold)
    return covariance * least.denominator >= least.numerator * squares


def at_least(values: ArrayLike, threshold: float) -> np.ndarray:
    """Whether estimates are at or above a threshold, bool of their shape; NaN is not.

    Args:
      values: floats, as they were computed or as records hold them.
      threshold: the least value.
    """
    known = np.asarray(values, np.float64)
    return (known >= threshold - _ROUNDING) | (known == np.float64(np.float32(threshold)))


def levels(values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many of some thresholds each value is at or above: int64 of the shape of `values`.

    Args:
      values: as for `at_least`; NaN is above all.
      thresholds: float64 `[thresholds]`, ascending.
    """
    values = np.asarray(values, np.float64)
    found = np.searchsorted(thresholds - _ROUNDING, values, side="right")
    stored = thresholds.astype(np.float32).astype(np.float64)
    first, last = (np.searchsorted(stored, values, side=side) for side in ("left", "right"))
    return np.where(first < last, np.maximum(found, last), found)
