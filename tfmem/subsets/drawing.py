"""Which examples trial `k` sees, and the seeds of everything else that is random in it.

All of it comes from `numpy.random.SeedSequence(run_seed, spawn_key=(k, purpose, ...))`, so that any
trial can be made again alone, on any worker, in any order. Orders are drawn by sorting raw 64-bit
outputs of PCG64, a stream that numpy promises never to change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.subsets.seeding import seed_words

_DRAWS = 1_000_000  # of groups, for one subset


class Purpose(IntEnum):
    """What a stream of random numbers is for."""

    SUBSET = 0
    INITIALIZATION = 1
    ORDER = 2
    AUGMENTATION = 3


@dataclass(frozen=True)
class Trial:
    """One trial: its number and the run's seed, from which all that is random in it derives."""

    trial_id: int
    run_seed: int

    def seed_sequence(self, purpose: Purpose, *key: int) -> np.random.SeedSequence:
        """Seeds for one purpose; further `key`s (an epoch, a variable) give independent seeds."""
        return np.random.SeedSequence(self.run_seed, spawn_key=(self.trial_id, purpose, *key))

    def subset(self, num_examples: int, size: int, groups: Sequence[np.ndarray] = ()) -> np.ndarray:
        """The subset `I_k`: int64 `[size]`, ascending.

        Without groups it is uniform among subsets of that size. With groups each of them is in with
        probability `size / num_examples`, independently of the others, and of the examples in no
        group a uniform choice makes up the size; where that would take fewer than none or more than
        there are, all of it is drawn again. So if the groups have at most `size` examples in all,
        and at least `size` are in no group, every example is in with probability
        `size / num_examples`; otherwise groups are in with the probability that this has among
        draws that fit (conditional Poisson sampling, Hajek 1964).

        Args:
          num_examples: number of training examples `n`.
          size: size of the subset `m`.
          groups: disjoint sets of examples, int64, that are in as a whole or not at all; see
            `tfmem.subsets.groups.check_groups`.

        Raises:
          InputError: if no draw fits.
        """
        if not len(groups):
            return np.sort(random_order(self.seed_sequence(Purpose.SUBSET), num_examples)[:size])
        bits = np.random.PCG64(self.seed_sequence(Purpose.SUBSET))
        sizes = np.array([len(group) for group in groups])
        single = np.ones(num_examples, bool)
        single[np.concatenate(groups)] = False
        singles = np.flatnonzero(single)
        below = np.uint64((size << 64) // num_examples)
        for _ in range(_DRAWS):
            chosen = bits.random_raw(len(groups)) < below
            room = size - int(sizes[chosen].sum())
            if 0 <= room <= len(singles):
                order = np.argsort(bits.random_raw(len(singles)), kind="stable")
                whole = [groups[number] for number in np.flatnonzero(chosen).tolist()]
                return np.sort(np.concatenate([*whole, singles[order[:room]]]))
        raise InputError(
            f"training.groups: no draw of whole groups makes subsets of {size} examples"
        )

    def epoch_order(self, subset: np.ndarray, epoch: int) -> np.ndarray:
        """The subset's examples in the order in which an epoch visits them: int64 `[size]`."""
        return subset[random_order(self.seed_sequence(Purpose.ORDER, epoch), len(subset))]

    def augmentation_draws(self, epoch: int, count: int) -> np.ndarray:
        """Random bits for the examples of an epoch, in the order of visits: uint64 `[count]`."""
        return np.random.PCG64(self.seed_sequence(Purpose.AUGMENTATION, epoch)).random_raw(count)


@dataclass(frozen=True)
class DrawnSubsets:
    """Subsets of one size that the trials of a run draw (a `Subsets`).

    Attributes:
      num_train: number of training examples `n`.
      size: number of examples `m` of each subset.
      run_seed: the run's seed.
      groups: sets of examples that are in as a whole or not at all; see `Trial.subset`.
    """

    num_train: int
    size: int
    run_seed: int
    groups: Sequence[np.ndarray] = ()

    def subset(self, trial_id: int) -> np.ndarray:
        """See `Subsets.subset`."""
        return Trial(trial_id, self.run_seed).subset(self.num_train, self.size, self.groups)

    @property
    def sizes(self) -> np.ndarray:
        """See `Subsets.sizes`."""
        return np.array([self.size])


def seeds_of_trials(
    trials: Sequence[Trial], purpose: Purpose, keys: Sequence[int], count: int
) -> np.ndarray:
    """`trial.seed_sequence(purpose, key).generate_state(count)` of each trial and key.

    Args:
      trials: trials of one run.
      purpose: what the streams are for.
      keys: epochs, or numbers of variables.
      count: number of words.

    Returns:
      uint32 `[keys, trials, count]`.
    """
    every = [(trial.trial_id, purpose, key) for key in keys for trial in trials]
    words = seed_words(trials[0].run_seed, np.array(every, np.int64).reshape(-1, 3), count)
    return words.reshape(len(keys), len(trials), count)


def random_order(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    """A uniformly random permutation of `range(count)`: int64 `[count]`."""
    return order_of(np.random.PCG64(seed).random_raw(count))


def order_of(raw: np.ndarray) -> np.ndarray:
    """`np.argsort(raw, axis=-1, kind="stable")` in a third of the time: int64 `[..., count]`.

    Numbers that carry their own places in their lowest bits are sorted. Where others differ in
    these bits alone, which random ones almost never do, all are sorted by the whole numbers.

    Args:
      raw: uint64 `[..., count]`.
    """
    count = raw.shape[-1]
    places = np.uint64((1 << (count - 1).bit_length()) - 1)
    keys = raw & ~places
    keys |= np.arange(count, dtype=np.uint64)
    keys.sort(axis=-1)
    if count > 1 and (keys[..., 1:] ^ keys[..., :-1]).min() <= places:
        return np.argsort(raw, axis=-1, kind="stable")
    keys &= places
    return keys.view(np.int64)


def subset_size(num_examples: int, fraction: float, setting: str = "training.fraction") -> int:
    """`m = round(fraction * n)`; errors name the `setting` that gives the fraction.

    Raises:
      InputError: if that leaves no example in, or none out.
    """
    size = round(fraction * num_examples)
    if not 0 < size < num_examples:
        raise InputError(
            f"{setting}: expected a subset with examples in and out of it, received "
            f"{fraction} of {num_examples} examples, which is {size}"
        )
    return size
