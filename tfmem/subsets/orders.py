"""The orders in which the models of a stack visit their examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmem.subsets.drawing import Purpose, Trial, order_of, seeds_of_trials
from tfmem.subsets.seeding import SEED_OF_PCG64, raw_numbers


class Orders:
    """The orders of some trials, epoch by epoch: those of `Trial.epoch_order`, drawn together."""

    def __init__(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], epochs: range
    ) -> None:
        """Makes the seeds of all epochs.

        Args:
          trials: trials of one run.
          subsets: their training examples, int64 `[m]` each.
          epochs: the epochs.
        """
        self._subsets = np.stack(subsets)
        count, size = self._subsets.shape
        self._starts = np.arange(count)[:, None] * size  # of each subset, if they lie in a row
        self._first = epochs.start
        self._seeds = seeds_of_trials(trials, Purpose.ORDER, epochs, SEED_OF_PCG64)

    def __call__(self, epochs: range) -> np.ndarray:
        """The examples of each trial in the orders of some epochs: int64 `[epochs, trials, m]`."""
        orders = np.empty((len(epochs), *self._subsets.shape), self._subsets.dtype)
        for order, epoch in zip(orders, epochs, strict=True):
            raw = raw_numbers(self._seeds[epoch - self._first], self._subsets.shape[1])
            places = order_of(raw) + self._starts
            self._subsets.take(places, out=order, mode="clip")  # other modes copy once more
        return orders
