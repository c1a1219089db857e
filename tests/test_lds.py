"""The linear datamodeling score: closed forms, brute force, and scores that mean nothing."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from tests.helpers.learners import learner
from tfmem.datamodels.influence import influence_predictions
from tfmem.datamodels.lds import linear_datamodeling_score, noise_ceiling, summed
from tfmem.datamodels.outputs import by_subset, held_out
from tfmem.datamodels.ranks import spearman
from tfmem.datamodels.ridge import ridge
from tfmem.messages.errors import InputError


class Matrix:
    """Attributions in memory."""

    source = "mine"

    def __init__(self, values):
        self.values = values

    def columns(self, tests):
        return self.values[:, tests]


def test_the_coefficients_of_a_linear_learner_have_a_score_of_one():
    outputs, coefficients = learner()
    found = linear_datamodeling_score(outputs, summed(Matrix(coefficients), outputs))
    assert found.correlation.tolist() == [1.0] * 6
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    against = linear_datamodeling_score(outputs, summed(Matrix(-coefficients), outputs))
    assert against.value == -1.0


def test_scores_are_rank_correlations_of_sums_with_mean_outputs():
    outputs, coefficients = learner(repeats=3, noise=2.0)
    scores = coefficients + np.random.default_rng(1).normal(size=coefficients.shape)
    scores[:, 0] = np.round(scores[:, 0])  # sums with ties
    found = linear_datamodeling_score(outputs, summed(Matrix(scores), outputs))
    for test in range(6):
        sums, means = [], []
        for subset in range(60):
            held = [bool(outputs.masks[subset, i // 8] >> i % 8 & 1) for i in range(20)]
            sums.append(sum(scores[i, test] for i in range(20) if held[i]))
            means.append(np.mean(outputs.each[3 * subset : 3 * subset + 3, test]))
        sums = np.round(sums, 9)  # as a loop adds them, equal sums may differ
        assert found.correlation[test] == pytest.approx(spearmanr(sums, means)[0], abs=1e-12)
    assert found.value == pytest.approx(found.correlation.mean())
    assert found.low < found.value < found.high


def test_resampled_rank_correlations_are_those_of_repeated_rows():
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 6, (2, 30, 4)), rng.integers(0, 9, (30, 4))
    weights = rng.multinomial(30, np.full(30, 1 / 30), 5)
    found = spearman(first[0], second, weights)
    for number, column in itertools.product(range(5), range(4)):
        rows = np.repeat(np.arange(30), weights[number])
        expected = spearmanr(first[0][rows, column], second[rows, column])[0]
        assert found[number, column] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(spearman(np.zeros((30, 1)), second[:, :1])).all()


def test_attributions_that_mean_nothing_score_zero():
    """Each of 200 intervals leaves 0 out with probability 0.05: 22 or more do so once in 1,600.

    Test examples share subsets, so their scores are correlated, and an interval that took them for
    independent would leave 0 out far more often.
    """
    outside = 0
    for seed in range(200):
        outputs, _ = learner(subsets=50, tests=8, seed=seed)
        scores = np.random.default_rng([1, seed]).normal(size=(20, 1)).repeat(8, axis=1)
        found = linear_datamodeling_score(outputs, summed(Matrix(scores), outputs), seed, 200)
        outside += not found.low < 0 < found.high
    assert outside < 22


def test_order_of_models_and_examples_changes_nothing_but_order():
    outputs, coefficients = learner(repeats=2, noise=1.0)
    rng = np.random.default_rng(3)
    models, train = rng.permutation(120), rng.permutation(20)
    masks = np.unpackbits(outputs.masks, axis=1, count=20, bitorder="little")[outputs.place]
    other = by_subset(
        np.packbits(masks[models][:, train], axis=1, bitorder="little"), outputs.each[models], 20
    )
    scores = coefficients + rng.normal(size=coefficients.shape)
    one = linear_datamodeling_score(outputs, summed(Matrix(scores), outputs))
    two = linear_datamodeling_score(other, summed(Matrix(scores[train]), other))
    assert np.array_equal(one.correlation, two.correlation)
    assert one.ceiling == pytest.approx(two.ceiling, abs=0.1)


def test_influence_and_datamodels_predict_as_their_matrices_do():
    outputs, _ = learner(subsets=80, noise=1.0)
    judges = held_out(len(outputs), 0.25, seed=5)
    given, wanted = outputs.take(~judges), outputs.take(judges)
    bits = given.bits()
    matrix = np.stack([
        given.means[bits[:, i] > 0].mean(axis=0) - given.means[bits[:, i] == 0].mean(axis=0)
        for i in range(20)
    ])  # fmt: skip
    for predict, values in (
        (influence_predictions(given, wanted), matrix),
        (ridge(given).predictions(wanted), ridge(given).weights()),
    ):
        by_matrix = summed(Matrix(values), wanted)(slice(0, 6))
        direct = predict(slice(0, 6))
        gap = direct - by_matrix  # a constant for each test example
        assert gap == pytest.approx(np.broadcast_to(gap[0], gap.shape), abs=1e-6)


def test_held_out_subsets_follow_from_the_seed():
    first, again, other = (held_out(50, 0.2, seed) for seed in (0, 0, 1))
    assert first.sum() == 10
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    with pytest.raises(InputError, match=r"at least 2 subsets on either side, received 0.99 of 50"):
        held_out(50, 0.99, 0)


def test_the_ceiling_is_what_the_truth_scores():
    outputs, coefficients = learner(subsets=1500, tests=4, repeats=4, noise=3.0)
    found = linear_datamodeling_score(outputs, summed(Matrix(coefficients), outputs), resamples=20)
    assert found.ceiling == pytest.approx(found.correlation, abs=0.04)  # 3 standard errors
    assert 0.6 < found.ceiling_value < 0.95
    assert noise_ceiling(learner()[0]) is None
    assert np.isnan(
        linear_datamodeling_score(learner()[0], lambda t: np.ones((60, 6))).ceiling_value
    )


def test_constant_attributions_count_as_zero_and_constant_outputs_do_not_count():
    outputs, coefficients = learner()
    outputs.each[:, 0] = 1.0
    coefficients[:, 1] = 0.0
    found = linear_datamodeling_score(outputs, summed(Matrix(coefficients), outputs))
    assert np.isnan(found.correlation[0])
    assert found.correlation[1:].tolist() == [0, 1, 1, 1, 1]
    assert found.value == 0.8
    assert found.without_scores == 1
    outputs.each[:] = 1.0
    del outputs.__dict__["means"]
    with pytest.raises(InputError, match="are the same on every test example"):
        linear_datamodeling_score(outputs, summed(Matrix(coefficients), outputs))


def test_scores_that_are_no_numbers_are_named():
    outputs, coefficients = learner()
    coefficients[7, 3] = np.nan
    expected = r"mine: training example 7, test example 3: expected a finite number, received nan"
    with pytest.raises(InputError, match=expected):
        linear_datamodeling_score(outputs, summed(Matrix(coefficients), outputs))
    with pytest.raises(InputError, match=r"at least 3 different subsets .*--holdout"):
        linear_datamodeling_score(outputs.take(np.arange(2)), lambda tests: np.ones((2, 6)))
