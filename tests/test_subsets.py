import hashlib

import numpy as np
import pytest

from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.subsets.drawing import Purpose, order_of, subset_size
from tfmem.subsets.orders import Orders
from tfmem.subsets.seeding import raw_numbers, seed_words


def test_subsets_have_exactly_the_size_and_are_the_trials_own():
    subsets = [Trial(k, 7).subset(101, 71) for k in range(50)]
    for subset in subsets:
        assert len(np.unique(subset)) == 71
        assert (np.sort(subset) == subset).all()
        assert 0 <= subset[0] <= subset[-1] < 101
    np.testing.assert_array_equal(subsets[13], Trial(13, 7).subset(101, 71))
    assert len({subset.tobytes() for subset in subsets}) == 50
    assert Trial(13, 8).subset(101, 71).tobytes() != subsets[13].tobytes()


def test_streams_never_change():
    """A run begun today must continue with any later version."""
    trial = Trial(3, 12345)
    subset = trial.subset(1000, 700)
    orders = [trial.epoch_order(subset, epoch) for epoch in range(2)]
    digest = hashlib.sha256(b"".join(a.astype("<i8").tobytes() for a in (subset, *orders)))
    assert digest.hexdigest()[:16] == "06ae8085924530c0"


def test_every_example_and_every_pair_is_drawn_equally_often():
    """Chi-square-like bounds at 5.5 standard deviations: 210 counts, false alarm below 1e-5."""
    n, m, trials = 20, 14, 4000
    masks = np.zeros((trials, n))
    for k in range(trials):
        masks[k, Trial(k, 0).subset(n, m)] = 1
    together = masks.T @ masks
    p_one, p_two = m / n, m * (m - 1) / (n * (n - 1))
    for p, counts in ((p_one, np.diag(together)), (p_two, together[np.triu_indices(n, 1)])):
        z = (counts - trials * p) / np.sqrt(trials * p * (1 - p))
        assert np.abs(z).max() < 5.5


def test_epochs_visit_the_subset_in_new_orders():
    trial = Trial(0, 0)
    subset = trial.subset(50, 35)
    orders = [trial.epoch_order(subset, epoch) for epoch in range(3)]
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), subset)
    assert len({order.tobytes() for order in orders}) == 3


def test_purposes_have_seeds_of_their_own():
    states = [Trial(k, 5).seed_sequence(purpose, e).generate_state(4).tobytes()
              for k in range(3) for purpose in Purpose for e in range(3)]  # fmt: skip
    assert len(set(states)) == 36


@pytest.mark.parametrize(("fraction", "size"), [(0.7, 1006), (0.5, 718), (0.9999, None)])
def test_subset_size_is_rounded_and_leaves_examples_in_and_out(fraction, size):
    if size:
        assert subset_size(1437, fraction) == size
    else:
        with pytest.raises(InputError, match=r"training\.fraction"):
            subset_size(1437, fraction)
        with pytest.raises(InputError, match=r"^gradient_attribution\.fraction: expected"):
            subset_size(1437, fraction, "gradient_attribution.fraction")


@pytest.mark.parametrize("run_seed", [0, 5, 2**32, 2**127, 2**200 + 1])
def test_seeds_of_many_streams_are_those_of_numpy(run_seed):
    rng = np.random.default_rng(0)
    for length in (1, 3, 5):
        keys = rng.integers(0, 2**32, (4, length))
        keys[0] = 0
        numpys = [np.random.SeedSequence(run_seed, spawn_key=map(int, key)) for key in keys]
        words = seed_words(run_seed, keys, 8)
        np.testing.assert_array_equal(words, [seed.generate_state(8) for seed in numpys])
        raw = [np.random.PCG64(seed).random_raw(3) for seed in numpys]
        np.testing.assert_array_equal(raw_numbers(words, 3), raw)


def test_orders_of_a_stack_are_those_of_its_trials():
    trials = [Trial(k, 7) for k in (4, 0, 4)]
    subsets = [trial.subset(50, 35) for trial in trials]
    orders = Orders(trials, subsets, range(2, 4))
    for epochs in (range(2, 4), range(3, 4)):
        each = [
            [trial.epoch_order(s, epoch) for trial, s in zip(trials, subsets, strict=True)]
            for epoch in epochs
        ]
        np.testing.assert_array_equal(orders(epochs), each)
    Orders(trials, subsets, range(4, 4))  # a run that goes on after its last epoch


@pytest.mark.parametrize("count", [1, 2, 5, 8, 1000])
def test_orders_sort_whole_numbers(count):
    """Also those that differ in the lowest bits alone, which carry places while they are sorted."""
    rng = np.random.default_rng(count)
    for most in (2**64 - 1, 4, 2 * count):
        raw = rng.integers(0, most, (3, count), np.uint64, endpoint=True)
        np.testing.assert_array_equal(order_of(raw), np.argsort(raw, axis=1, kind="stable"))
