"""How well scores rank some examples before others: areas under ROC curves, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import rankdata

_Z = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curves of several scores of the same examples.

    Attributes:
      area: float64 `[scores]`.
      covariance: float64 `[scores, scores]`.
    """

    area: np.ndarray
    covariance: np.ndarray

    def interval(self, number: int) -> tuple[float, float]:
        """95% interval of one area, on the scale of log odds, which keeps it within 0 and 1."""
        area, variance = self.area[number], self.covariance[number, number]
        if not 0 < area < 1:
            return float(area), float(area)
        middle = np.log(area / (1 - area))
        half = _Z * np.sqrt(variance) / (area * (1 - area))
        low, high = (1 / (1 + np.exp(-(middle + side * half))) for side in (-1, 1))
        return float(low), float(high)

    def difference(self, first: int, second: int) -> tuple[float, float]:
        """The first area less the second, and its standard error."""
        part = self.covariance[np.ix_([first, second], [first, second])]
        variance = part[0, 0] + part[1, 1] - 2 * part[0, 1]
        return float(self.area[first] - self.area[second]), float(np.sqrt(max(variance, 0.0)))


def areas(scores: Sequence[np.ndarray], positive: np.ndarray) -> Areas:
    """Areas with the covariance of DeLong, DeLong & Clarke-Pearson (1988, Eq. 5 and 8).

    Args:
      scores: float `[examples]` each; high ones should be positive, NaN ranks lowest.
      positive: bool `[examples]`, at least two of each kind.
    """
    # How many of the other kind each example is on the right side of; ties count half.
    above, below = [], []
    for score in scores:
        score = np.nan_to_num(score, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        rank = rankdata(score)
        above.append((rank[positive] - rankdata(score[positive])) / (~positive).sum())
        below.append(1 - (rank[~positive] - rankdata(score[~positive])) / positive.sum())
    covariance = np.atleast_2d(np.cov(above)) / positive.sum()
    covariance += np.atleast_2d(np.cov(below)) / (~positive).sum()
    return Areas(np.mean(above, axis=1), covariance)
