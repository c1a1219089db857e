"""Rank correlation with an interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap, rankdata

_RESAMPLES = 1000
_VALUES = 2**20  # values of resamples that are ranked at a time


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation.

    Attributes:
      value: the correlation; NaN if there are fewer than three examples, or one side is constant.
      low: lower end of its 95% interval; NaN if `value` is.
      high: upper end of its 95% interval; NaN if `value` is.
      count: number of examples that both sides have.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        if math.isnan(self.value):
            return f"not defined ({self.count:,} examples)"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}; {self.count:,} examples)"


def rank_correlation(first: np.ndarray, second: np.ndarray, seed: int = 0) -> RankCorrelation:
    """Spearman's correlation, and its percentile interval by a bootstrap over examples.

    Args:
      first: float `[examples]`; examples with NaN on either side are left out.
      second: float `[examples]`.
      seed: seed of the bootstrap.
    """
    known = ~np.isnan(first) & ~np.isnan(second)
    sides = first[known], second[known]
    count = int(known.sum())
    if count < 3 or any(np.ptp(side) == 0 for side in sides):
        return RankCorrelation(math.nan, math.nan, math.nan, count)

    drawn = bootstrap(
        sides, _spearman, paired=True, vectorized=True, n_resamples=_RESAMPLES,
        batch=max(_VALUES // count, 1), method="percentile", rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return RankCorrelation(float(_spearman(*sides)), float(drawn.low), float(drawn.high), count)


def _spearman(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Correlation of ranks; 0 for a resample in which one side is constant.

    SciPy's `spearmanr` does not accept resamples along an axis, and with `pearsonr` of ranks the
    bootstrap takes twice as long.
    """
    ranks = [rankdata(side, axis=axis) for side in (first, second)]
    one, other = (of - of.mean(axis=axis, keepdims=True) for of in ranks)
    spread = np.sqrt((one**2).sum(axis=axis) * (other**2).sum(axis=axis))
    return (one * other).sum(axis=axis) / np.where(spread > 0, spread, 1)
