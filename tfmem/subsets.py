"""Which examples trial `k` sees, and the seeds of everything else that is random in it.

All of it comes from `numpy.random.SeedSequence(run_seed, spawn_key=(k, purpose, ...))`, so that any
trial can be made again alone, on any worker, in any order. Orders are drawn by sorting raw 64-bit
outputs of PCG64, a stream that numpy promises never to change.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from tfmem.errors import InputError


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

    def subset(self, num_examples: int, size: int) -> np.ndarray:
        """The subset `I_k`: int64 `[size]`, ascending, uniform among subsets of that size."""
        return np.sort(random_order(self.seed_sequence(Purpose.SUBSET), num_examples)[:size])

    def epoch_order(self, subset: np.ndarray, epoch: int) -> np.ndarray:
        """The subset's examples in the order in which an epoch visits them: int64 `[size]`."""
        return subset[random_order(self.seed_sequence(Purpose.ORDER, epoch), len(subset))]

    def augmentation_draws(self, epoch: int, count: int) -> np.ndarray:
        """Random bits for the examples of an epoch, in the order of visits: uint64 `[count]`."""
        return np.random.PCG64(self.seed_sequence(Purpose.AUGMENTATION, epoch)).random_raw(count)


def random_order(seed: np.random.SeedSequence, count: int) -> np.ndarray:
    """A uniformly random permutation of `range(count)`: int64 `[count]`."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def subset_size(num_examples: int, fraction: float) -> int:
    """`m = round(fraction * n)`.

    Raises:
      InputError: if that leaves no example in, or none out.
    """
    size = round(fraction * num_examples)
    if not 0 < size < num_examples:
        raise InputError(
            f"training.fraction: expected a subset with examples in and out of it, received "
            f"{fraction} of {num_examples} examples, which is {size}"
        )
    return size


def pack(bits: np.ndarray) -> bytes:
    """Packs booleans `[count]` into bits, the first into the lowest bit of the first byte."""
    return np.packbits(bits, bitorder="little").tobytes()


def unpack(packed: bytes, count: int) -> np.ndarray:
    """The inverse of `pack`: bool `[count]`."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=count, bitorder="little").view(bool)
