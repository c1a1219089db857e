import numpy as np
import pytest

from tests.helpers.counts import brute_force, counts_of, packed
from tests.helpers.oracle import example_learner
from tfmem.config import SelectionSettings
from tfmem.estimation.differences import difference
from tfmem.estimation.estimator import influence, memorization
from tfmem.estimation.kernels import co_occurrence
from tfmem.selection.finding import in_class
from tfmem.selection.settling import choose_pairs
from tfmem.store.pairs import statistics


def select(counts, settings):
    """Selects pairs as if there were only this class."""
    possible = counts.test_correct_in.size
    return choose_pairs([in_class(counts, settings, possible)], settings).pairs


def assert_equal(one, other):
    """Checks that two objects have equal arrays."""
    for name, value in vars(one).items():
        if hasattr(value, "__dict__"):
            assert_equal(value, getattr(other, name))
        else:
            np.testing.assert_array_equal(value, getattr(other, name))


@pytest.mark.parametrize("trials", [1, 63, 64, 65, 4000])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 17), (130, 3), (0, 4), (4, 0)])
def test_counts_equal_an_integer_product(trials, rows, columns):
    rng = np.random.default_rng(trials)
    left = rng.integers(0, 2, (trials, rows), np.uint8)
    right = rng.integers(0, 2, (trials, columns), np.uint8)
    counts = co_occurrence(packed(left), packed(right), threads=1 + trials % 3)
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts, left.T.astype(np.int64) @ right)


def test_large_counts_are_exact():
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 2, (2, 4000, 700), np.uint8)
    expected = (left.T.astype(np.float64) @ right).astype(np.int64)  # exact below 2^53
    np.testing.assert_array_equal(co_occurrence(packed(left), packed(right)), expected)


@pytest.mark.parametrize(("trials", "examples"), [(1, 1), (70, 33), (130, 517)])
def test_transposing_turns_bits_and_clears_what_is_beyond(trials, examples):
    bits = np.random.default_rng(1).integers(0, 2, (trials, examples), np.uint8)
    again = np.unpackbits(packed(bits).view(np.uint8), axis=1, bitorder="little")
    np.testing.assert_array_equal(again[:, :trials], bits.T)
    assert not again[:, trials:].any()


@pytest.mark.parametrize("trials", [2, 63, 65])
def test_estimates_equal_two_loops_over_trials(trials):
    rng = np.random.default_rng(trials)
    masks, train = rng.random((2, trials, 6)) < 0.6
    masks[:, 0], masks[:, 1] = True, False  # never held out, never included
    test = rng.random((trials, 4)) < 0.5
    counts = counts_of(masks, train, test)
    mem, infl = memorization(counts.train), influence(counts).value
    for i in range(6):
        np.testing.assert_allclose(mem.value[i], brute_force(masks, train, i, i), atol=1e-12)
        for j in range(4):
            np.testing.assert_allclose(infl[i, j], brute_force(masks, test, i, j), atol=1e-12)
    for array in (mem.value, mem.stderr, mem.low, mem.high, *infl.T):
        assert np.isnan(array[:2]).all()
        assert counts.train.num_in[:2].tolist() == [trials, 0]


def test_order_of_trials_is_nothing_and_complementing_masks_is_a_sign():
    rng = np.random.default_rng(2)
    masks, train = rng.random((2, 150, 9)) < 0.6
    test = rng.random((150, 5)) < 0.5
    base = counts_of(masks, train, test)
    order = rng.permutation(150)
    other = counts_of(masks[order], train[order], test[order])
    assert_equal(other, base)
    flipped = counts_of(~masks, train, test)
    np.testing.assert_allclose(influence(flipped).value, -influence(base).value, atol=1e-12)
    np.testing.assert_allclose(
        memorization(flipped.train).value, -memorization(base.train).value, atol=1e-12
    )
    np.testing.assert_allclose(memorization(flipped.train).stderr, memorization(base.train).stderr)


def test_standard_errors_are_those_of_repeated_farms():
    """Spread of 3,000 simulated estimates against the mean standard error: within 6%, where the
    standard error of a spread from 3,000 is 1.3% (false alarm below 1e-4)."""
    rng = np.random.default_rng(4)
    found = difference(
        rng.binomial(700, 0.9, 3000), np.int64(700), rng.binomial(300, 0.4, 3000), np.int64(300)
    )
    assert found.value.std() == pytest.approx(found.stderr.mean(), rel=0.06)


def test_thresholds_are_inclusive_to_the_last_digit():
    """Influence 3/20 computed from quotients is 0.1499…, but reaches the threshold 0.15."""
    masks = np.repeat([True, False], 20)[:, None]
    test = np.zeros((40, 1), bool)
    test[:7], test[20:24] = True, True  # 7/20 - 4/20
    counts = counts_of(masks, masks, test)
    assert influence(counts).value[0, 0] < 0.15
    assert len(select(counts, SelectionSettings(influence=0.15)).train_index) == 1
    assert len(select(counts, SelectionSettings(influence=0.1500001)).train_index) == 0
    assert len(select(counts, SelectionSettings(memorization=1.0)).train_index) == 1


def test_selection_equals_its_definition():
    rng = np.random.default_rng(5)
    masks, train = rng.random((2, 90, 20)) < 0.6
    test = rng.random((90, 30)) < 0.5
    counts = counts_of(masks, train, test, label=4)
    settings = SelectionSettings(memorization=0.00137, influence=0.10037)
    mem, infl = memorization(counts.train).value, influence(counts).value
    expected = {
        (i, j) for i in range(20) for j in range(30) if mem[i] >= 0.00137 and infl[i, j] >= 0.10037
    }
    found = select(counts, settings)
    assert set(zip(found.train_index.tolist(), found.test_index.tolist(), strict=True)) == expected
    assert (np.diff(found.influence) <= 0).all()
    assert set(found.label.tolist()) == {4}
    np.testing.assert_allclose(found.influence, infl[found.train_index, found.test_index])
    np.testing.assert_allclose(found.memorization, mem[found.train_index])


def test_pair_statistics():
    """Of test examples 1, 2 and 5, two have one influencer and one has three."""
    learner = example_learner()
    masks = np.array([[r.subset_mask[0] >> i & 1 for i in range(8)] for r in learner.records()])
    masks = masks.astype(bool)
    test = np.stack([masks[:, 0], masks[:, 1], masks[:, 5] | masks[:, 6] | masks[:, 7]], axis=1)
    pairs = select(counts_of(masks, masks, test), SelectionSettings(influence=0.01))
    found = statistics(pairs)
    assert (found.pairs, found.unique_train, found.unique_test) == (5, 5, 3)
    assert found.influencers == {1: 2, 3: 1}
