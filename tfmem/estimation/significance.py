"""Whether an influence is more than chance, and what a selection among many of them is worth.

A subset is drawn without regard to what a model will predict. If training example `i` does not
matter for test example `j`, then, given that it was in `num_in` of `t` subsets and that
`correct` of the `t` models are right on `j`, the number of models that are both is hypergeometric.
The test is exact (Fisher's), whatever the probabilities are.

Of the probabilities that models give the true label, or of scores, those with the training example
are then a sample without replacement. Its mean is taken for normal, with the variance that such a
mean has: the permutation test in its usual approximation. On digits, with the subsets of 1,024
trials and the probabilities of others, p-values below 10^-2 to 10^-5 are 0.6 to 1.0 times as
frequent as they should be for `positive`, and a third as frequent or less for `negative`
(`benchmarks/probability.py`).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.special import (  # scipy.stats, which has them too, takes 0.7 s to import
    log_ndtr,
    ndtr,
    ndtri,
)

from tfmem.estimation.hypergeometric import log_at_least, log_at_most

_KEPT_BY_CHANCE = 200_000  # p-values that are kept of tests without effect
_BINS, _A_DOUBLING = 4096, 64  # of thresholds in standard deviations, from 2^-32 to 2^32
Sign = Literal["positive", "negative", "both"]


def p_values(
    correct_in: np.ndarray, num_in: np.ndarray, correct: np.ndarray, num_trials: int, sign: Sign
) -> np.ndarray:
    """Exact probability of an influence as large as this one, if there is none.

    Returns:
      float64 `[pairs]`, 0 where it is below 10^-323. Arguments are those of `log_p_values`.
    """
    return np.exp(log_p_values(correct_in, num_in, correct, num_trials, sign))


def log_p_values(
    correct_in: np.ndarray, num_in: np.ndarray, correct: np.ndarray, num_trials: int, sign: Sign
) -> np.ndarray:
    """Natural logarithm of the exact probability of an influence as large, if there is none.

    Args:
      correct_in: int64 `[pairs]`, trials that have the training example and are right on the test
        example.
      num_in: int64 `[pairs]`, trials that have the training example.
      correct: int64 `[pairs]`, trials that are right on the test example.
      num_trials: number of trials `t`.
      sign: `positive` and `negative` are one-sided tests, `both` is twice the smaller of them.

    Returns:
      float64 `[pairs]`, at most 0.
    """
    size = num_trials + 1
    triples, where = np.unique((correct_in * size + num_in) * size + correct, return_inverse=True)
    both, included, right = triples // size**2, triples // size % size, triples % size
    upper = log_at_least(both, num_trials, right, included) if sign != "negative" else 0.0
    lower = log_at_most(both, num_trials, right, included) if sign != "positive" else 0.0
    found = np.minimum(upper, lower) + _log_sides(sign)
    return np.minimum(found, 0.0)[where]


def log_mean_p_values(covariance: np.ndarray, deviation: np.ndarray, sign: Sign) -> np.ndarray:
    """Natural logarithm of about the probability of such a difference of means, if there is none.

    Args:
      covariance: float64 `[pairs]`, the difference of means times `num_in * num_out`.
      deviation: float64 `[pairs]`, its standard deviation without influence; where that is 0 there
        is no evidence, and the result is 0.
      sign: as for `log_p_values`.

    Returns:
      float64 `[pairs]`, at most 0.
    """
    away = {"positive": covariance, "negative": -covariance, "both": np.abs(covariance)}[sign]
    score = np.divide(away, deviation, out=np.full(len(away), -np.inf), where=deviation > 0)
    return np.minimum(log_ndtr(-score) + _log_sides(sign), 0.0)


def _log_sides(sign: Sign) -> float:
    return float(np.log(2)) if sign == "both" else 0.0


def q_values(p: np.ndarray, tests: int) -> np.ndarray:
    """False discovery rates of Benjamini & Hochberg (1995), adjusted p-values.

    Tests that are not among `p` count as tests, and as larger: where some of them are not, results
    are too large rather than too small, and what is selected by them still has at most that rate of
    false discoveries (Blanchard & Roquain 2008).

    Args:
      p: float64 `[known]`, the p-values that are known.
      tests: how many tests were made, at least as many as there are `p`.

    Returns:
      float64 `[known]` in [0, 1].
    """
    order = np.argsort(p, kind="stable")
    rank = np.searchsorted(p[order], p[order], side="right")
    adjusted = np.minimum.accumulate((p[order] * tests / rank)[::-1])[::-1]
    result = np.empty(len(p))
    result[order] = np.minimum(adjusted, 1.0)
    return result


class SmallPValues:
    """The p-values of many tests that come a part at a time, the smallest of which are kept."""

    def __init__(self, most: int) -> None:
        """Begins without a test.

        Args:
          most: how many tests there can be.
        """
        self._least_p = min(1.0, _KEPT_BY_CHANCE / max(most, 1))
        self._small: list[np.ndarray] = []
        self._tests = 0

    def add(self, p: np.ndarray) -> None:
        """Takes over tests, float64 `[tests]`."""
        self._small.append(p[p <= self._least_p])
        self._tests += len(p)

    def q_values(self, p: np.ndarray) -> np.ndarray:
        """False discovery rates of some of the tests; too large where their `p` is not small."""
        others = p[p > self._least_p]
        small = np.concatenate([*self._small, others])
        q = q_values(small, self._tests)
        order = np.argsort(small, kind="stable")
        return q[order][np.searchsorted(small[order], p)]


def normal_quantile(p: float) -> float:
    """How many standard deviations above its mean a count surely is, if its p-value is `p`.

    A little below the normal quantile, so that few exact p-values below `p` are missed.
    """
    return -np.inf if p >= 0.3 else float(-0.95 * ndtri(p))


def expected_by_chance(
    threshold: float, num_in: int, tested: np.ndarray, num_trials: int, sign: Sign
) -> float:
    """How many pairs reach a threshold of influence if no training example matters at all.

    Args:
      threshold: least influence; of its negative for `negative`, of its size for `both`.
      num_in: in how many trials a training example is, in the mean.
      tested: int64 `[num_trials + 1]`, how many pairs there are whose test example so many trials
        are right on.
      num_trials: number of trials `t`.
      sign: which influences are selected.
    """
    right = np.flatnonzero(tested)
    # influence >= threshold  <=>  correct_in >= (correct + threshold num_out) num_in / t
    middle = right * num_in / num_trials
    reach = threshold * num_in * (num_trials - num_in) / num_trials
    chance = np.zeros(len(right))
    if sign != "negative":
        least = np.ceil(middle + reach - 1e-9)
        chance += np.exp(log_at_least(least, num_trials, right, num_in))
    if sign != "positive":
        most = np.floor(middle - reach + 1e-9)
        chance += np.exp(log_at_most(most, num_trials, right, num_in))
    return float(tested[right] @ np.minimum(chance, 1.0))


def expected_means_by_chance(
    threshold: float, num_in: int, tested: np.ndarray, num_trials: int, sign: Sign
) -> float:
    """As `expected_by_chance`, approximately, where the statistic is probability.

    Args:
      threshold: as there.
      num_in: as there.
      tested: int64 `[num_trials + 1]`, how many pairs there are by the variance of the probability
        of their test example: 0 to 1/4 in `num_trials` equal steps.
      num_trials: number of trials `t`.
      sign: as there.
    """
    step = np.flatnonzero(tested)
    num_out = num_trials - num_in
    pooled = (step + 0.5) / (4 * max(num_trials - 1, 1))
    deviation = np.sqrt(pooled * num_trials / max(num_in * num_out, 1))
    chance = ndtr(-threshold / deviation) * (2 if sign == "both" else 1)
    return float(tested[step] @ np.minimum(chance, 1.0))


def bins_of_thresholds(in_sds: np.ndarray) -> np.ndarray:
    """How many test examples there are by their threshold in standard deviations, in narrow bins.

    Args:
      in_sds: float64 `[test]`, the threshold of influence over the standard deviation of the test
        example's score; NaN and infinity where no difference is more than chance.

    Returns:
      int64 `[4096]`; bins are 1.1% wide.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        place = np.rint(_A_DOUBLING * np.log2(in_sds)) + _BINS // 2
    place = np.clip(np.nan_to_num(place, nan=_BINS, posinf=_BINS, neginf=0), 0, _BINS - 1)
    return np.bincount(place.astype(np.int64), minlength=_BINS)


def expected_scores_by_chance(
    num_in: int, tested: np.ndarray, num_trials: int, sign: Sign
) -> float:
    """As `expected_by_chance`, approximately, where pairs are counted by `bins_of_thresholds`."""
    place = np.flatnonzero(tested[:-1])
    in_sds = np.exp2((place - _BINS // 2) / _A_DOUBLING)
    errors = np.sqrt(num_in * (num_trials - num_in) / num_trials)
    chance = ndtr(-in_sds * errors) * (2 if sign == "both" else 1)
    return float(tested[place] @ chance)
