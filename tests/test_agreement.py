"""J and D are compared with sets and loops, their intervals with scipy's and a bootstrap."""

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from tfmem.estimation.agreement import Agreement

THRESHOLDS = np.array([-0.2, 0.0, 0.15, 0.3, 0.9, 2.0])


def agreement(first, second, eligible=None, parts=1, thresholds=THRESHOLDS, variance=None):
    made = Agreement(thresholds)
    variance = np.zeros_like(first) if variance is None else variance
    for rows in np.array_split(np.arange(len(first)), parts):
        may = eligible and tuple(side[rows] for side in eligible)
        made.add(first[rows], second[rows], variance[rows], may)
    return made


def noisy(seed=0, shape=(30, 7)):
    rng = np.random.default_rng(seed)
    truth = rng.random(shape) * 0.6 - 0.1
    return [truth + rng.normal(0, 0.1, shape) for _ in range(2)]


@pytest.mark.parametrize("parts", [1, 4])
def test_sets_of_pairs_are_those_of_two_loops(parts):
    first, second = noisy()
    first[3, 2], second[5] = np.nan, np.nan
    rng = np.random.default_rng(1)
    eligible = tuple(rng.random(30) < 0.7 for _ in range(2))
    made = agreement(first, second, eligible, parts)
    curve = made.curve()
    missing = {(3, 2), *((5, j) for j in range(7))}
    assert (made.compared, made.missing) == (202, 8)
    for at, threshold in enumerate(THRESHOLDS):
        sets = [
            {
                (i, j)
                for i in range(30)
                for j in range(7)
                if (i, j) not in missing and may[i] and values[i, j] >= threshold
            }
            for values, may in zip((first, second), eligible, strict=True)
        ]
        both, either = sets[0] & sets[1], sets[0] | sets[1]
        counts = curve.first[at], curve.second[at], curve.both[at], curve.either[at]
        assert counts == (len(sets[0]), len(sets[1]), len(both), len(either))
        if either:
            apart = [abs(first[pair] - second[pair]) for pair in either]
            assert curve.jaccard[at] == pytest.approx(len(both) / len(either))
            assert curve.difference[at] == pytest.approx(np.mean(apart))
            assert curve.jaccard_low[at] <= curve.jaccard[at] <= curve.jaccard_high[at]
            assert 0 <= curve.jaccard_low[at] <= curve.jaccard_high[at] <= 1
        else:
            assert np.isnan([curve.jaccard[at], curve.jaccard_low[at], curve.difference[at]]).all()


def test_the_same_estimates_agree_wholly_and_thresholds_are_inclusive():
    values = np.array([7 / 10 - 11 / 20, 0.3, 0.1])  # the first is 3/20, and below 0.15 as a float
    assert values[0] < 0.15
    curve = agreement(values, values).curve()
    assert curve.both[2] == curve.first[2] == 2
    assert (curve.jaccard[:4] == 1).all()
    assert (curve.difference[:4] == 0).all()
    assert (curve.jaccard_low[:4] < 0.6).all()  # estimates from three examples say little


def test_memorization_has_wilsons_and_students_intervals():
    first, second = noisy(shape=(80,))
    curve = agreement(first, second).curve()
    for at in (1, 2, 3):
        union = (first >= THRESHOLDS[at]) | (second >= THRESHOLDS[at])
        wilson = binomtest(int(curve.both[at]), int(union.sum())).proportion_ci(method="wilson")
        assert (curve.jaccard_low[at], curve.jaccard_high[at]) == pytest.approx(wilson)
        student = ttest_1samp(abs(first - second)[union], 0).confidence_interval()
        assert (curve.difference_low[at], curve.difference_high[at]) == pytest.approx(student)


def test_pairs_of_one_training_example_are_no_independent_evidence():
    """Seven copies of each pair tell no more than one."""
    first, second = noisy(shape=(80,))
    once = agreement(first, second).curve()
    often = agreement(*(np.repeat(side[:, None], 7, axis=1) for side in (first, second))).curve()
    assert (often.either == 7 * once.either).all()
    for name in ("jaccard_low", "jaccard_high", "difference_low", "difference_high"):
        np.testing.assert_allclose(getattr(often, name)[:4], getattr(once, name)[:4])


def test_intervals_are_as_wide_as_a_bootstrap_over_training_examples_says():
    """Linearizing may change the width by 8%; the SD of 4,000 resamples is known to 1.1%."""
    first, second = noisy(shape=(200, 7))
    eligible = tuple(np.random.default_rng(2).random(200) < 0.8 for _ in range(2))
    curve = agreement(first, second, eligible, thresholds=np.array([0.3])).curve()
    sets = [
        (side >= 0.3) & may[:, None] for side, may in zip((first, second), eligible, strict=True)
    ]
    union = sets[0] | sets[1]
    sums = [x.sum(axis=1) for x in (sets[0] & sets[1], union, abs(first - second) * union)]
    weights = np.random.default_rng(3).multinomial(200, np.full(200, 1 / 200), 4000)
    both, either, apart = (weights @ x for x in sums)
    for name, ratios in (("jaccard", both / either), ("difference", apart / either)):
        width = getattr(curve, f"{name}_high")[0] - getattr(curve, f"{name}_low")[0]
        assert width == pytest.approx(2 * 1.96 * ratios.std(), rel=0.08)


def test_the_lowest_threshold_with_enough_in_both_has_an_interval():
    """Up to 0.1 both have 10 of 110; up to 0.5 they have 10 of 10, with an interval from 0.72."""
    first = np.repeat([0.1, 0.5], [100, 10])
    second = np.repeat([0.0, 0.5], [100, 10])
    curve = agreement(first, second, thresholds=np.array([0.05, 0.2, 0.4])).curve()
    assert curve.reaches(0.7) == (0.2, 0.2, 0.2)
    assert curve.reaches(0.1) == (0.2, 0.05, 0.2)
    assert curve.reaches(0.8)[:2] == (0.2, 0.2)
    assert np.isnan(curve.reaches(0.8)[2])


def test_the_root_mean_square_leaves_out_what_has_no_variance():
    first, second = np.array([0.5, 0.1, np.nan]), np.array([0.1, 0.1, 0.3])
    variance = np.array([0.02, 0.02, np.nan])
    assert agreement(first, second, variance=variance).rms() == pytest.approx(
        (0.08**0.5, 0.02**0.5)
    )
    nothing = agreement(first, second, variance=np.full(3, np.nan))
    assert np.isnan(nothing.rms()).all()
