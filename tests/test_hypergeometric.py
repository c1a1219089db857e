"""Tails of the hypergeometric distribution are compared with integer arithmetic and scipy's."""

from math import comb, log

import numpy as np
import pytest
from scipy.stats import hypergeom

from tfmem.estimation.hypergeometric import log_at_least, log_at_most


def exact(count, trials, marked, drawn):
    """Computes the probability of at least `count` as a fraction of whole numbers."""
    ways = (comb(marked, k) * comb(trials - marked, drawn - k) for k in range(count, drawn + 1))
    return sum(ways), comb(trials, drawn)


@pytest.mark.parametrize("trials", [1, 2, 9])
def test_every_tail_of_few_trials_equals_counting(trials):
    grid = np.meshgrid(np.arange(-1, trials + 2), *[np.arange(trials + 1)] * 2)
    count, marked, drawn = (x.ravel() for x in grid)
    expected = [
        ways / of
        for ways, of in (
            exact(max(k, 0), trials, m, d)
            for k, m, d in zip(count.tolist(), marked.tolist(), drawn.tolist(), strict=True)
        )
    ]
    found = np.exp(log_at_least(count, trials, marked, drawn))
    np.testing.assert_allclose(found, expected, rtol=1e-13)
    np.testing.assert_allclose(
        np.exp(log_at_most(count - 1, trials, marked, drawn)), 1 - np.array(expected), atol=1e-13
    )


def test_both_tails_of_many_trials_equal_scipys():
    rng = np.random.default_rng(0)
    trials, (marked, drawn) = 4000, rng.integers(0, 4001, (2, 3000))
    share = marked / trials
    spread = np.sqrt(drawn * share * (1 - share) * (1 - drawn / trials))
    count = np.round(drawn * share + 4 * rng.normal(size=3000) * spread).astype(int)
    upper = hypergeom.sf(count - 1, trials, marked, drawn)
    lower = hypergeom.cdf(count, trials, marked, drawn)
    rtol = 1e-11 if np.finfo(np.longdouble).eps < 1e-16 else 1e-9
    np.testing.assert_allclose(np.exp(log_at_least(count, trials, marked, drawn)), upper, rtol)
    np.testing.assert_allclose(np.exp(log_at_most(count, trials, marked, drawn)), lower, rtol)


def test_logarithms_are_those_of_probabilities_that_no_float_can_hold():
    for count, trials, marked, drawn in ((700, 2000, 700, 1400), (1900, 4000, 2000, 2000)):
        ways, of = exact(count, trials, marked, drawn)
        (found,) = log_at_least(np.array([count]), trials, np.array([marked]), drawn)
        assert found == pytest.approx(log(ways) - log(of), rel=1e-12)
    assert found < -745  # exp is 0
