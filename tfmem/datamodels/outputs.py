"""Subsets, and what the models that were trained on each of them say about test examples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.subsets.drawing import random_order

HOLDOUT = 0.2  # share of the subsets that judge attributions which are made from the others
_KEY = 2**32 - 5  # first part of the spawn key of held-out subsets, which no trial has


@dataclass(frozen=True)
class SubsetOutputs:
    """Outputs of models, grouped by the subset that they were trained on.

    Attributes:
      masks: uint8 `[subsets, ceil(num_train / 8)]`, the different subsets, packed in index order as
        in records.
      num_train: number of training examples `n`.
      each: `[models, num_test]`, the output of each model on each test example, such as its margin.
      place: int64 `[models]`, the subset of each model.
    """

    masks: np.ndarray
    num_train: int
    each: np.ndarray
    place: np.ndarray

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def num_test(self) -> int:
        """Number of test examples."""
        return self.each.shape[1]

    @cached_property
    def models(self) -> np.ndarray:
        """Number of models of each subset, int64 `[subsets]`."""
        return np.bincount(self.place, minlength=len(self))

    @cached_property
    def means(self) -> np.ndarray:
        """Mean output over the models of each subset, float64 `[subsets, num_test]`."""
        sums = np.zeros((len(self), self.num_test))
        np.add.at(sums, self.place, self.each)
        return sums / self.models[:, None]

    def take(self, subsets: np.ndarray) -> SubsetOutputs:
        """The outputs of the models of some subsets.

        Args:
          subsets: bool `[subsets]`, or int64 in ascending order.
        """
        kept = np.arange(len(self))[subsets]
        new = np.full(len(self), -1)
        new[kept] = np.arange(len(kept))
        models = new[self.place] >= 0
        return SubsetOutputs(
            self.masks[kept], self.num_train, self.each[models], new[self.place[models]]
        )

    def bits(self, examples: slice = slice(None)) -> np.ndarray:
        """Which subsets hold some training examples, float64 `[subsets, examples]` of 0 and 1."""
        start, stop, _ = examples.indices(self.num_train)
        packed = self.masks[:, start // 8 : -(-stop // 8)]
        whole = np.unpackbits(packed, axis=1, bitorder="little")
        return whole[:, start % 8 : start % 8 + stop - start].astype(np.float64)


def by_subset(masks: np.ndarray, outputs: np.ndarray, num_train: int) -> SubsetOutputs:
    """Groups models by their subsets, which are numbered in the order of their first models.

    Args:
      masks: uint8 `[models, ceil(num_train / 8)]`, packed as in records.
      outputs: `[models, num_test]`.
      num_train: number of training examples `n`.
    """
    numbers: dict[bytes, int] = {}
    place = np.array([numbers.setdefault(mask.tobytes(), len(numbers)) for mask in masks], np.int64)
    _, first = np.unique(place, return_index=True)
    return SubsetOutputs(masks[first], num_train, outputs, place)


def held_out(subsets: int, share: float, seed: int) -> np.ndarray:
    """Draws the subsets that judge attributions, and from which none is made: bool `[subsets]`.

    Args:
      subsets: number of different subsets.
      share: the share of them that is held out, rounded to a whole number.
      seed: seed of the run, which with the number of subsets decides the draw.

    Raises:
      InputError: if that leaves fewer than two subsets on either side.
    """
    count = round(share * subsets)
    if not 2 <= count <= subsets - 2:
        raise InputError(
            f"holdout: expected a share that leaves at least 2 subsets on either side, received "
            f"{share:g} of {subsets} different subsets"
        )
    chosen = np.zeros(subsets, bool)
    order = random_order(np.random.SeedSequence(seed, spawn_key=(_KEY,)), subsets)
    chosen[order[:count]] = True
    return chosen
