"""How far two sets of estimates of the same quantities agree, over thresholds.

Feldman & Zhang (2020, App. C.1) compare two runs by what each has at or above a threshold: `J`, the
Jaccard similarity of the two sets, and `D`, the mean absolute difference of the estimates in their
union (their eq. 4 and below).

Pairs of one training example are selected together or not, because its memorization decides it and
because they share its mask, so they are no independent sample. The training example is the unit
here: `J` and `D` are ratios of sums over training examples, whose linearized variance is what a
bootstrap over training examples comes to. For `D` it gives Student's interval; `J` has Wilson's
interval of the sample size that would have the same variance (Dean & Pagano 2015), which is
Wilson's own for memorization and does not shrink to a point where all of a few examples agree.
Were the trials drawn anew for the same examples, these intervals would err on the safe side: in
simulations they covered the mean `J` in 96% of cases and more, the mean `D` in 95%.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

from tfmem.estimation.thresholds import levels

_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Curve:
    """Agreement over thresholds; arrays are `[thresholds]`, counts int64, the rest float64.

    Attributes:
      threshold: ascending; a set has what is at or above it.
      first: size of the first set.
      second: size of the second.
      both: size of their intersection.
      either: size of their union.
      jaccard: `J = both / either`; NaN where both sets are empty.
      jaccard_low: lower end of its 95% interval.
      jaccard_high: upper end.
      difference: `D`, mean absolute difference over the union; NaN likewise.
      difference_low: lower end of its 95% interval; NaN with fewer than two training examples.
      difference_high: upper end.
    """

    threshold: np.ndarray
    first: np.ndarray
    second: np.ndarray
    both: np.ndarray
    either: np.ndarray
    jaccard: np.ndarray
    jaccard_low: np.ndarray
    jaccard_high: np.ndarray
    difference: np.ndarray
    difference_low: np.ndarray
    difference_high: np.ndarray

    def reaches(self, jaccard: float) -> tuple[float, float, float]:
        """Finds the smallest threshold with at least a given `J`; NaN if there is none.

        Its 95% interval holds the thresholds whose interval of `J` contains the given `J`.

        Returns:
          Estimate, lower and upper end.
        """
        estimate, low, high = (
            next(iter(self.threshold[values >= jaccard].tolist()), math.nan)
            for values in (self.jaccard, self.jaccard_high, self.jaccard_low)
        )
        return estimate, low, high


class Agreement:
    """Adds up how two sets of estimates agree, for some training examples at a time.

    A quantity without an estimate (NaN) in one of the sets counts in neither.

    Attributes:
      compared: how many estimates both sets have.
      missing: how many they do not.
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        """Begins without estimates.

        Args:
          thresholds: float64 `[thresholds]`, ascending.
        """
        self._thresholds = thresholds
        self._sizes = np.zeros((4, len(thresholds)), np.int64)  # first, second, both, either
        self._apart = np.zeros(len(thresholds))  # sum of absolute differences over the union
        self._examples = np.zeros(len(thresholds), np.int64)  # with something in the union
        self._products = np.zeros((3, 3, len(thresholds)))  # of an example's both, either, apart
        self._squares = np.zeros(2)  # of differences, and what is expected of them
        self._measured = 0  # estimates in those sums
        self.compared = 0
        self.missing = 0

    def add(
        self,
        first: np.ndarray,
        second: np.ndarray,
        variance: np.ndarray,
        eligible: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        """Adds estimates of some training examples, which must not be added again.

        Args:
          first: float64 `[train]` or `[train, test]`.
          second: likewise, of the same.
          variance: of their difference, likewise; NaN where it is not known.
          eligible: bool `[train]` each, whose estimates may be in the first set, and in the second;
            None lets all in.
        """
        values = [_columns(side) for side in (first, second)]
        known = ~np.isnan(values[0]) & ~np.isnan(values[1])
        apart = np.where(known, values[0] - values[1], 0)
        self.compared += int(known.sum())
        self.missing += int((~known).sum())
        sure = known & ~np.isnan(_columns(variance))
        self._measured += int(sure.sum())
        self._squares += (apart**2).sum(where=sure), _columns(variance).sum(where=sure)
        # Of how many sets, from that of the lowest threshold on, an estimate is a member.
        member_of = [levels(side, self._thresholds) * known for side in values]
        if eligible is not None:
            member_of = [of * may[:, None] for of, may in zip(member_of, eligible, strict=True)]
        first_level, second_level = member_of
        union = np.maximum(first_level, second_level)
        both = self._from(np.minimum(first_level, second_level))
        either = self._from(union)
        far = self._from(union, np.abs(apart))
        members = self._from(first_level), self._from(second_level), both, either
        self._sizes += np.array([part.sum(axis=0) for part in members]).astype(np.int64)
        self._apart += far.sum(axis=0)
        self._examples += (either > 0).sum(axis=0)
        sums = np.stack([both, either, far])
        self._products += np.einsum("aik,bik->abk", sums, sums)

    def _from(self, levels: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """Sums over each training example's members of the sets, float64 `[train, thresholds]`."""
        count = len(self._thresholds)
        row, column = np.nonzero(levels)
        bins = row * count + levels[row, column] - 1
        chosen = None if weights is None else weights[row, column]
        summed = np.bincount(bins, chosen, len(levels) * count).reshape(len(levels), count)
        return np.cumsum(summed[:, ::-1], axis=1)[:, ::-1].astype(np.float64)

    def rms(self) -> tuple[float, float]:
        """Computes the root mean square difference, and the one that sampling variance would give.

        Where both sets come from as many independent trials of one algorithm, the two agree, and
        are `sqrt(2)` times the root mean square error of either set.
        """
        if not self._measured:
            return math.nan, math.nan
        difference, expected = np.sqrt(self._squares / self._measured).tolist()
        return difference, expected

    def curve(self) -> Curve:
        """Computes `J` and `D` of all estimates that were added, with their intervals."""
        first, second, both, either = self._sizes
        count = self._examples
        with np.errstate(divide="ignore", invalid="ignore"):
            jaccard, difference = both / either, self._apart / either
            squared = either.astype(np.float64) ** 2
            variance = self._residuals(0, jaccard) / squared
            size = np.where(variance > 0, jaccard * (1 - jaccard) / variance, count)
            low, high = _wilson(jaccard, np.minimum(size, either))
            stderr = np.sqrt(self._residuals(2, difference) / squared * count / (count - 1))
            half = student.ppf((1 + _CONFIDENCE) / 2, count - 1) * stderr
        return Curve(
            threshold=self._thresholds,
            first=first,
            second=second,
            both=both,
            either=either,
            jaccard=jaccard,
            jaccard_low=low,
            jaccard_high=high,
            difference=difference,
            difference_low=np.maximum(difference - half, 0),
            difference_high=difference + half,
        )

    def _residuals(self, which: int, ratio: np.ndarray) -> np.ndarray:
        """Sum over training examples of `(x - ratio * either)**2`, `[thresholds]`."""
        products = self._products
        cross = products[which, which] - 2 * ratio * products[which, 1]
        return np.maximum(cross + ratio**2 * products[1, 1], 0)


def _columns(values: np.ndarray) -> np.ndarray:
    return values[:, None] if values.ndim == 1 else values


def _wilson(share: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's (1927) interval of each `share` of `size`, which need not be a whole number."""
    from statsmodels.stats.proportion import proportion_confint

    low, high = proportion_confint(share * size, size, 1 - _CONFIDENCE, method="wilson")
    return low, high
