"""The interface of subsets for trainers, and checks of which trials can be trained together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfmem.messages.errors import InputError


class Subsets(Protocol):
    """The training examples that each trial sees, however its subset was chosen."""

    def subset(self, trial_id: int) -> np.ndarray:
        """The examples of a trial, int64 ascending; a stack may reach beyond the last trial."""

    @property
    def sizes(self) -> np.ndarray:
        """Sizes of the subsets of trial 0 and up, int64; the last one holds for all beyond it."""


@dataclass(frozen=True)
class RepeatedSubsets:
    """Subsets on each of which several models are trained (a `Subsets`).

    Attributes:
      distinct: the different subsets, by number.
      repeats: number of successive trials that share a subset.
    """

    distinct: Subsets
    repeats: int

    def subset(self, trial_id: int) -> np.ndarray:
        """See `Subsets.subset`."""
        return self.distinct.subset(trial_id // self.repeats)

    @property
    def sizes(self) -> np.ndarray:
        """See `Subsets.sizes`."""
        return np.repeat(self.distinct.sizes, self.repeats)


def largest_stack_of_one_size(subsets: Subsets, most: int) -> int:
    """The largest stack, of at most `most` trials, that never has subsets of two sizes."""
    changes = np.flatnonzero(np.diff(subsets.sizes)) + 1
    return next(size for size in range(most, 0, -1) if not (changes % size).any())


def check_stacks(subsets: Subsets, stack_size: int) -> None:
    """Makes sure that the subsets of a stack have one size, as stacks are trained.

    Raises:
      InputError: naming the first trials whose subsets differ.
    """
    sizes = subsets.sizes
    for first in range(0, len(sizes), stack_size):
        stack = sizes[first : first + stack_size]
        if stack.min() < stack.max():
            raise InputError(
                f"training.subsets: trials {first} to {first + len(stack) - 1} are trained "
                f"together and need subsets of one size, received {stack.min()} to {stack.max()}: "
                "set training.stack_size"
            )


def check_batch(subsets: Subsets, batch_size: int) -> None:
    """Makes sure that every subset fills a batch.

    Raises:
      InputError: if the smallest subset does not fill a batch.
    """
    smallest = int(subsets.sizes.min())
    if batch_size > smallest:
        raise InputError(
            f"training.batch_size: expected at most the {smallest} examples of the smallest "
            f"subset, received {batch_size}"
        )
