"""Areas under ROC curves, which measure how well scores rank some examples, and their errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from scipy.stats import binomtest, bootstrap, rankdata

_Z = NormalDist().inv_cdf(0.975)
_RESAMPLES = 2000
_VALUES = 2**20  # values of resamples that are counted at a time


@dataclass(frozen=True)
class Areas:
    """Areas under the ROC curves of several scores of the same examples.

    Attributes:
      area: float64 `[scores]`, the areas.
      variance: float64 `[scores]`, their variances.
      least: number of examples of the rarer kind.
    """

    area: np.ndarray
    variance: np.ndarray
    least: int

    def interval(self, number: int) -> tuple[float, float]:
        """95% interval of area `number`, on the scale of log odds, which keeps it within 0 and 1.

        If the area is 0 or 1, the interval is Wilson's (1927) for as many trials as there are
        examples of the rarer kind.
        """
        area, variance = self.area[number], self.variance[number]
        if not 0 < area < 1:
            wins = binomtest(round(area * self.least), self.least)
            low, high = wins.proportion_ci(0.95, method="wilson")
            return float(low), float(high)
        middle = np.log(area / (1 - area))
        half = _Z * np.sqrt(variance) / (area * (1 - area))
        low, high = (1 / (1 + np.exp(-(middle + side * half))) for side in (-1, 1))
        return float(low), float(high)


def areas(scores: Sequence[np.ndarray], positive: np.ndarray) -> Areas:
    """Areas of scores, with the variance of DeLong, DeLong & Clarke-Pearson (1988, Eq. 5 and 8).

    Args:
      scores: float `[examples]` each; positive examples should have high scores, NaN ranks lowest.
      positive: bool `[examples]`, with at least two examples of each kind.
    """
    # For each example, the share of the other kind that it is ranked rightly against; ties count
    # half.
    above, below = [], []
    for score in scores:
        score = np.nan_to_num(score, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
        rank = rankdata(score)
        above.append((rank[positive] - rankdata(score[positive])) / (~positive).sum())
        below.append(1 - (rank[~positive] - rankdata(score[~positive])) / positive.sum())
    variance = np.var(above, axis=1, ddof=1) / positive.sum()
    variance += np.var(below, axis=1, ddof=1) / (~positive).sum()
    least = int(min(positive.sum(), (~positive).sum()))
    return Areas(np.mean(above, axis=1), variance, least)


def behind_first(
    scores: Sequence[np.ndarray], positive: np.ndarray, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """95% intervals of how far the area of each score is behind the area of the first.

    The ends are percentiles of a bootstrap over examples, which draws each kind apart and is the
    same for all scores.

    Args:
      scores: see `areas`.
      positive: see `areas`.
      seed: seed of the bootstrap.

    Returns:
      Lower and upper ends, float64 `[scores]`.
    """
    places = [_places(score, positive) for score in scores]
    total, others = int(positive.sum()), int((~positive).sum())

    def differences(drawn: np.ndarray, against: np.ndarray, axis: int = -1) -> np.ndarray:
        drawn, against = (np.atleast_2d(each).astype(np.intp) for each in (drawn, against))
        times = np.stack([np.bincount(row, minlength=others) for row in against])
        won = np.zeros((len(places), len(drawn)))
        for number, (order, first, last) in enumerate(places):
            below = np.pad(np.cumsum(times[:, order], axis=1), ((0, 0), (1, 0)))
            twice = below[:, first] + below[:, last]  # ties count half
            won[number] = np.take_along_axis(twice, drawn, axis=1).sum(axis=1)
        return (won[0] - won) / (2 * total * others)

    found = bootstrap(
        (np.arange(total), np.arange(others)), differences, vectorized=True,
        n_resamples=_RESAMPLES, batch=max(_VALUES // len(positive), 1), method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return np.asarray(found.low), np.asarray(found.high)


def _places(score: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order of the negative examples, and the places of positive ones before and after ties."""
    score = np.nan_to_num(score, nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    order = np.argsort(score[~positive])
    ranked = score[~positive][order]
    first, last = (np.searchsorted(ranked, score[positive], side) for side in ("left", "right"))
    return order, first, last
