"""Computes the errors and the power of estimates from `t` trials on subsets of `m` of `n` examples.

An estimate is a difference of two proportions: of `t * m/n` trials with an example, and of the
`t * (1 - m/n)` others. Everything here follows from that, before anything is trained. The numbers
of trials with and without an example vary a little from example to example; here they are the
expected numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom, hypergeom, norm

from tfmem.messages.errors import InputError

MOST_TRIALS = 100_000  # a plan for more takes minutes
_SPREAD = 9  # standard deviations from its mean within which a count is certain to be


def num_in(trials: int, fraction: float) -> int:
    """How many of the trials have a given example in their subset, as expected: 1 to `t - 1`.

    Raises:
      InputError: if there are fewer than 2 trials, too many to plan for, or no such fraction.
    """
    if not 2 <= trials <= MOST_TRIALS:
        raise InputError(f"trials: expected 2 to {MOST_TRIALS:,}, received {trials}")
    if not 0 < fraction < 1:
        raise InputError(f"fraction: expected m/n between 0 and 1, received {fraction}")
    return min(max(round(trials * fraction), 1), trials - 1)


def stderr(trials: int, fraction: float, rate_in: float, rate_out: float) -> float:
    """Standard error of one estimate of memorization or influence.

    It is `sqrt(p_in (1 - p_in) / (t m/n) + p_out (1 - p_out) / (t (1 - m/n)))`, the standard
    deviation of a difference of independent proportions. Of all rates 1/2 and 1/2 give most:
    1.09 / sqrt(t) at m/n = 0.7, 1 / sqrt(t) at 0.5.

    Args:
      trials: number of trials `t`.
      fraction: subset fraction `m/n`.
      rate_in: how often models with the example are right.
      rate_out: how often models without it are.
    """
    with_it = trials * fraction
    without = trials - with_it
    return math.sqrt(rate_in * (1 - rate_in) / with_it + rate_out * (1 - rate_out) / without)


def lemma_bound(trials: int, fraction: float) -> float:
    """Computes the bound of Lemma 2.1 of Feldman & Zhang (2020) on the root mean square error.

    With `p = min(m/n, 1 - m/n)` the mean squared error of one estimate is at most
    `1 / (p t) + 1 / ((1 - p) t) + exp(-p t / 16) / 2`, whose root this is: at least twice the worst
    standard error.
    """
    p = min(fraction, 1 - fraction)
    return math.sqrt(1 / (p * trials) + 1 / ((1 - p) * trials) + math.exp(-p * trials / 16) / 2)


class FisherTest:
    """Fisher's exact one-sided test for an influence, and its power.

    The test is that of Fisher (1934, Statistical Methods for Research Workers, Sec. 21.02).
    Under no influence, and given that `k` of `t` models are right, the number of those that were
    trained with the example is hypergeometric; the p-value is the probability of as many as were
    seen, or more.
    """

    def __init__(self, trials: int, num_in: int, p_value: float) -> None:
        """Plans a test.

        Args:
          trials: number of trials `t`.
          num_in: trials with the example in the subset.
          p_value: the largest p-value that is a discovery.
        """
        self._trials = trials
        self._num_in = num_in
        self._num_out = trials - num_in
        self._p_value = p_value
        self._least = np.full(self._num_out + 1, -1)  # as far as it was asked for

    def least(self, right_out: np.ndarray) -> np.ndarray:
        """How many models with the example must be right for a discovery.

        Args:
          right_out: int64 `[outcomes]`, how many models without it are right.

        Returns:
          int64 `[outcomes]`; `num_in + 1` where no number is enough.
        """
        new = right_out[self._least[right_out] < 0]
        low, high = np.zeros_like(new), np.full_like(new, self._num_in + 1)
        while len(rows := np.flatnonzero(low < high)):
            middle = (low[rows] + high[rows]) // 2
            right = middle + new[rows]
            found = hypergeom.sf(middle - 1, self._trials, right, self._num_in) <= self._p_value
            high[rows[found]] = middle[found]
            low[rows[~found]] = middle[~found] + 1
        self._least[new] = low
        return self._least[right_out]

    def power(self, rate_in: float, rate_out: float) -> float:
        """The probability of a discovery: exact, a sum over the outcomes of two binomial counts.

        Args:
          rate_in: how often models with the example are right.
          rate_out: how often models without it are.
        """
        center = self._num_out * rate_out
        spread = _SPREAD * math.sqrt(center * (1 - rate_out)) + _SPREAD
        ends = max(0, int(center - spread)), min(self._num_out, int(center + spread))
        right_out = np.arange(ends[0], ends[1] + 1)
        outcomes = binom.pmf(right_out, self._num_out, rate_out)
        return float(outcomes @ binom.sf(self.least(right_out) - 1, self._num_in, rate_in))

    def power_at(self, influence: float) -> float:
        """The power where an influence is hardest to see: rates 1/2 plus and minus half of it."""
        return self.power((1 + influence) / 2, (1 - influence) / 2)


def p_value_needed(fdr: float, candidates: int, discoveries: int = 1) -> float:
    """The p-value at which a pair is found: `fdr * discoveries / candidates`.

    Benjamini & Hochberg (1995) reject the `R` smallest p-values if the largest of them is at most
    `fdr * R / candidates`. `R` is not known beforehand; with 1 this is Bonferroni's bound, at which
    an influence is found even if it is the only one, and which the real threshold never falls
    below.

    Raises:
      InputError: if there is no such rate, or if more pairs are to be found than there are.
    """
    if not 0 < fdr < 1:
        raise InputError(f"fdr: expected a rate between 0 and 1, received {fdr}")
    if not 1 <= discoveries <= candidates:
        raise InputError(
            f"discoveries: expected 1 to the {candidates:,} candidate pairs, received {discoveries}"
        )
    return fdr * discoveries / candidates


def detectable(
    trials: int, fraction: float, p_value: float, powers: Sequence[float] = (0.5, 0.9)
) -> tuple[float, ...]:
    """The smallest true influences that Fisher's test finds with given probabilities.

    The rates are 1/2 plus and minus half of the influence, where it is hardest to see; of examples
    that models are mostly right or mostly wrong on, smaller ones are found.

    Args:
      trials: number of trials `t`.
      fraction: subset fraction `m/n`.
      p_value: see `p_value_needed`.
      powers: probabilities of finding it.

    Returns:
      An influence for each power; NaN where even an influence of 1 is found less often.
    """
    test = FisherTest(trials, num_in(trials, fraction), p_value)
    least, most = test.power_at(0), test.power_at(1)

    def found_with(wanted: float) -> float:
        if not least < wanted <= most:
            return np.nan
        return float(brentq(lambda influence: test.power_at(influence) - wanted, 0, 1, xtol=1e-6))

    return tuple(found_with(wanted) for wanted in powers)


def trials_needed(
    influence: float, fraction: float, p_value: float, wanted: float = 0.9
) -> int | None:
    """The smallest number of trials at which an influence is found with a given probability.

    The search begins at what the normal approximation says (Fleiss, Tytun & Ury 1980, without its
    correction) and goes on with the exact power. That rises with the number of trials in small
    teeth, since counts are whole; the result is a multiple of 10.

    Args:
      influence: the true influence, between 0 and 1.
      fraction: subset fraction `m/n`.
      p_value: see `p_value_needed`.
      wanted: the probability of finding it.

    Returns:
      None if more than 100,000 are needed.

    Raises:
      InputError: if there is no such influence.
    """
    if not 0 < influence < 1:
        raise InputError(f"influence: expected one between 0 and 1, received {influence}")

    def enough(tens: int) -> bool:
        test = FisherTest(10 * tens, num_in(10 * tens, fraction), p_value)
        return test.power_at(influence) >= wanted

    most = MOST_TRIALS // 10
    high = math.ceil(_approximately_needed(influence, fraction, p_value, wanted) / 10)
    if high > most:
        return None
    low = high
    while not enough(high):
        low, high = high, math.ceil(1.05 * high)
        if high > most:
            return None
    while low and enough(low):
        low, high = int(low / 1.05), low
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return 10 * high


def _approximately_needed(
    influence: float, fraction: float, p_value: float, wanted: float
) -> float:
    rate = 0.5 + influence * (fraction - 0.5)  # of all models
    under_none = math.sqrt(rate * (1 - rate) / (fraction * (1 - fraction)))
    under_it = stderr(1, fraction, (1 + influence) / 2, (1 - influence) / 2)
    return ((norm.isf(p_value) * under_none + norm.ppf(wanted) * under_it) / influence) ** 2


def chance(trials: int, fraction: float, threshold: float) -> float:
    """Computes the probability that an estimate reaches a threshold without any influence.

    Models are right half of the time, with and without the example, which is the worst case. It is
    exact, a sum over all outcomes of two binomial counts.

    Args:
      trials: number of trials `t`.
      fraction: subset fraction `m/n`.
      threshold: least estimate, inclusive.
    """
    with_it = num_in(trials, fraction)
    without = trials - with_it
    right_out = np.arange(without + 1)
    least = np.ceil(with_it * (threshold + right_out / without) - 1e-9)
    outcomes = binom.pmf(right_out, without, 0.5)
    return float(outcomes @ binom.sf(least - 1, with_it, 0.5))
