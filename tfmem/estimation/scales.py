"""Numbers without bounds as fixed point, so that their sums are exact in any order.

Over all trials the score of an example lies between a least and a greatest value. From these two,
which do not depend on the order of the trials, follows the example's own scale: `step` is the least
power of 2 that is not below their distance, `low` the greatest multiple of it that is not above the
least value, and `width` is `2 * step`. A value is then `low + width * z` with `z` from 0 to 1, held
as a multiple of 2^-31.

Each example has a scale of its own, so that an example whose score is far out, or a trial in which
scores are, costs no other example its resolution. Rounding moves a value by at most `width` times
2^-32, which is less than 2^-30 of the distance of the two values. The rounding of squares (see
`tfmem.estimation.sums.uncertainty`) raises a variance by at most 2^-32 of the squared width, while
that of `t` trials, two of which lie `step / 2` or more apart, is at least 1 / (32 t) of it: for
4,000 trials the rounding is below a part in 30,000.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from typing import NamedTuple

import numpy as np

UNIT = 2.0**-31


class Range(NamedTuple):
    """The least and the greatest value of each of some examples, float64 `[examples]`."""

    least: np.ndarray
    greatest: np.ndarray


class Scale(NamedTuple):
    """The values of `z` = 0, and how far from it those of `z` = 1 lie: float64 `[examples]`."""

    low: np.ndarray
    width: np.ndarray

    def take(self, which: np.ndarray) -> Scale:
        """The scales of some examples."""
        return Scale(self.low[which], self.width[which])


def range_of(values: np.ndarray) -> Range:
    """The range of finite values `[trials, examples]` of at least one trial."""
    return Range(values.min(axis=0).astype(np.float64), values.max(axis=0).astype(np.float64))


def joined(ranges: Iterable[Range]) -> Range:
    """The range of all values of which some have these ranges, at least one."""
    return reduce(
        lambda one, other: Range(
            np.minimum(one.least, other.least), np.maximum(one.greatest, other.greatest)
        ),
        ranges,
    )


def scale_of(found: Range) -> Scale:
    """The scale of each example."""
    distance = found.greatest - found.least
    mantissa, exponent = np.frexp(distance)
    step = np.ldexp(1.0, exponent - (mantissa == 0.5))
    low = np.floor(found.least / step) * step
    same = distance == 0
    return Scale(np.where(same, found.least, low), np.where(same, 1.0, 2 * step))


UNSCALED = Scale(np.zeros(()), np.ones(()))  # of values that are from 0 to 1 themselves


def fixed_point(values: np.ndarray, scale: Scale) -> np.ndarray:
    """Values `[trials, examples]` as uint32 multiples of 2^-31 of the scale's width.

    They must be within the range that the scale was made from.
    """
    z = (values.astype(np.float64) - scale.low) / scale.width
    return np.rint(z / UNIT).astype(np.uint32)


def fractions(fixed: np.ndarray) -> np.ndarray:
    """The `z` of uint32 fixed-point numbers, float64 of the same shape."""
    return fixed * UNIT
