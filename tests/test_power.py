"""Standard errors and power are compared with the paper, enumeration and simulation."""

from fractions import Fraction
from math import comb, isnan, sqrt

import numpy as np
import pytest
from scipy.stats import false_discovery_control, hypergeom

from tfmem.estimation.differences import difference
from tfmem.messages.errors import InputError
from tfmem.planning.power import (
    FisherTest,
    chance,
    detectable,
    lemma_bound,
    num_in,
    p_value_needed,
    stderr,
    trials_needed,
)


def simulate(rng, trials, fraction, rate_in, rate_out, repeats):
    """Simulates pairs; returns correct in, number in, correct out and number out."""
    number_in = rng.binomial(trials, fraction, repeats)
    number_out = trials - number_in
    return (
        rng.binomial(number_in, rate_in),
        number_in,
        rng.binomial(number_out, rate_out),
        number_out,
    )


def p_values(right_in, number_in, right_out, number_out):
    return hypergeom.sf(right_in - 1, number_in + number_out, right_in + right_out, number_in)


def test_worst_standard_errors_are_the_papers():
    assert stderr(1, 0.7, 0.5, 0.5) == pytest.approx(1.09, abs=0.002)
    assert stderr(1, 0.5, 0.5, 0.5) == 1
    assert 0.15 / stderr(4000, 0.7, 0.5, 0.5) == pytest.approx(8.7, abs=0.05)
    assert 0.15 / stderr(200, 0.7, 0.5, 0.5) == pytest.approx(1.9, abs=0.05)
    rates = np.linspace(0, 1, 21)
    assert max(stderr(100, 0.7, a, b) for a in rates for b in rates) == stderr(100, 0.7, 0.5, 0.5)


def test_the_bound_of_lemma_2_1_is_twice_the_worst_error_and_more():
    for trials, fraction in ((4000, 0.7), (200, 0.3), (50, 0.9)):
        p = min(fraction, 1 - fraction)
        excess = lemma_bound(trials, fraction) ** 2 - 4 * stderr(trials, fraction, 0.5, 0.5) ** 2
        assert excess == pytest.approx(np.exp(-p * trials / 16) / 2)
    assert lemma_bound(4000, 0.7) == pytest.approx(2 * 1.0911 / sqrt(4000), rel=1e-4)


@pytest.mark.parametrize(
    ("trials", "fraction", "rate_in", "rate_out"),
    [(400, 0.7, 0.5, 0.5), (400, 0.7, 0.9, 0.9), (1000, 0.9, 1.0, 0.5), (200, 0.5, 0.6, 0.2)],
)
def test_estimates_vary_as_the_standard_error_says(trials, fraction, rate_in, rate_out):
    """40,000 estimates: the error of their SD is 0.35% (1 / sqrt(2 * 40,000)).

    The bounds are 4.5 of these (false alarm below 1e-5), and the 1% by which it is larger because
    numbers in and out vary.
    """
    counts = simulate(np.random.default_rng(0), trials, fraction, rate_in, rate_out, 40_000)
    ratio = difference(*counts).value.std() / stderr(trials, fraction, rate_in, rate_out)
    assert 1 - 0.016 <= ratio <= 1 + 0.026


def test_the_test_is_fishers_by_enumeration():
    trials, number_in = 14, 9
    for p_value in (0.2, 0.03, 1e-3, 1e-6):
        least = FisherTest(trials, number_in, p_value).least(np.arange(trials - number_in + 1))
        for right_out, found in enumerate(least):
            expected = number_in + 1
            for right_in in range(number_in, -1, -1):
                right = right_in + right_out
                tail = sum(
                    comb(number_in, k) * comb(trials - number_in, right - k)
                    for k in range(right_in, min(number_in, right) + 1)
                )
                if Fraction(tail, comb(trials, right)) > p_value:
                    break
                expected = right_in
            assert found == expected


@pytest.mark.parametrize(("fraction", "rate"), [(0.7, 0.5), (0.9, 0.5), (0.5, 0.9)])
def test_without_influence_few_are_found(fraction, rate):
    """The test at 0.01 is exact: of 20,000 pairs without influence at most 1% are expected.

    More than 264 occur with a probability below 1e-5. The test is conservative, but not by much:
    fewer than 80 would mean that it is a different test.
    """
    counts = simulate(np.random.default_rng(1), 500, fraction, rate, rate, 20_000)
    assert 80 <= np.sum(p_values(*counts) <= 0.01) <= 264


@pytest.mark.parametrize(("trials", "fraction"), [(1000, 0.7), (500, 0.9), (4000, 0.5)])
def test_influences_are_found_as_often_as_the_plan_says(trials, fraction):
    """10,000 pairs at the p-value of CIFAR-100's 5,000,000: the SD of the share is at most 0.5%.

    The bounds are 4.5 of these (false alarm below 1e-5), and 2.5% lower if only 50 trials are out
    and that number varies (0.5% elsewhere).
    """
    p_value = p_value_needed(0.05, 5_000_000)
    for wanted, influence in zip((0.5, 0.9), detectable(trials, fraction, p_value), strict=True):
        rates = (1 + influence) / 2, (1 - influence) / 2
        counts = simulate(np.random.default_rng(2), trials, fraction, *rates, 10_000)
        share = np.mean(p_values(*counts) <= p_value)
        spread = 4.5 * sqrt(wanted * (1 - wanted) / 10_000)
        varying = 0.025 if fraction == 0.9 else 0.005
        assert wanted - spread - varying <= share <= wanted + spread + 0.005


def test_rates_of_one_half_are_the_worst_case():
    influence = detectable(1000, 0.7, 1e-6)[1]
    test = FisherTest(1000, 700, 1e-6)
    powers = [
        test.power(middle + influence / 2, middle - influence / 2)
        for middle in np.linspace(influence / 2, 1 - influence / 2, 25)
    ]
    assert min(powers) >= 0.9 - 0.002


def test_the_p_value_is_where_benjamini_and_hochberg_stop():
    """200 true influences among 20,000 pairs, planned for 200 discoveries and a power of 0.9.

    The number found has an SD of 4.2, and the bounds are 4.5 of these (false alarm below 1e-5). The
    share of false discoveries has a mean of at most 5% and an SD of 1.6%.
    """
    p_value = p_value_needed(0.05, 20_000, 200)
    influence = detectable(1000, 0.7, p_value)[1]
    rng = np.random.default_rng(3)
    true = simulate(rng, 1000, 0.7, (1 + influence) / 2, (1 - influence) / 2, 200)
    null = simulate(rng, 1000, 0.7, 0.5, 0.5, 19_800)
    p = np.concatenate([p_values(*true), p_values(*null)])
    found = false_discovery_control(p, method="bh") <= 0.05
    assert 180 - 19 <= found[:200].sum() <= 180 + 19
    assert found[200:].sum() <= (0.05 + 4.5 * 0.016) * found.sum()


def test_the_trials_that_are_needed_are_the_fewest():
    p_value = p_value_needed(0.05, 5_000_000)
    needed = trials_needed(0.15, 0.7, p_value)
    assert needed == 2530
    assert detectable(needed, 0.7, p_value)[1] <= 0.15 < detectable(needed - 10, 0.7, p_value)[1]
    assert trials_needed(0.15, 0.5, p_value) < needed < trials_needed(0.15, 0.9, p_value)
    assert trials_needed(0.02, 0.9, p_value) is None
    assert all(map(isnan, detectable(20, 0.7, p_value)))  # the least p-value is 1 / C(20, 6)


def test_chance_is_what_is_seen_and_worst_at_one_half():
    """200,000 pairs of 200 trials; bounds are 4.5 SD (false alarm below 1e-5), and 3% of it.

    Numbers in and out that vary add up to 3%.
    """
    expected = chance(200, 0.7, 0.15)
    counts = simulate(np.random.default_rng(4), 200, 0.7, 0.5, 0.5, 200_000)
    share = np.mean(difference(*counts).value >= 0.15 - 1e-12)
    assert abs(share - expected) <= 4.5 * sqrt(expected / 200_000) + 0.03 * expected
    counts = simulate(np.random.default_rng(5), 200, 0.7, 0.8, 0.8, 200_000)
    assert np.mean(difference(*counts).value >= 0.15) < 0.6 * expected


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: num_in(1, 0.7), ["trials", "2 to 100,000", "1"]),
        (lambda: num_in(10**9, 0.7), ["trials", "100,000", "1000000000"]),
        (lambda: num_in(10, 1.0), ["fraction", "between 0 and 1", "1.0"]),
        (lambda: num_in(10, float("nan")), ["fraction", "nan"]),
        (lambda: p_value_needed(0, 10), ["fdr", "between 0 and 1", "0"]),
        (lambda: p_value_needed(0.1, 10, 11), ["discoveries", "1 to the 10", "11"]),
        (lambda: trials_needed(-0.1, 0.7, 0.1), ["influence", "between 0 and 1", "-0.1"]),
    ],
)
def test_a_number_out_of_range_is_one_line(call, words):
    with pytest.raises(InputError) as error:
        call()
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
