"""Sums over trials of numbers from 0 to 1, exact in any order.

All are multiples of 2^-32: probabilities of true labels (see `tfmem.store.confidence`), and scores
on the scales of their examples (see `tfmem.estimation.scales`). So float64 holds sums of up to 2^21
of them exactly, and a matrix product with 0 and 1 is the same to the bit in whatever order, blocks
or threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tfmem.estimation.estimator import PROBABILITY, ClassCounts, Measure, TrainCounts
from tfmem.estimation.scales import Scale, fractions
from tfmem.store.confidence import UNIT, Confidence

Numbers = Confidence | np.ndarray


class Batch(NamedTuple):
    """Subsets of some examples in a batch of trials, and how models do on them.

    Attributes:
      trial_ids: int64 `[batch]`.
      masks: uint64 `[train, words]`, packed along the trials of the batch.
      train: how sure models are of the label, or uint32 fixed-point numbers; `[batch, train]`.
      test: likewise, `[batch, test]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train: Numbers
    test: Numbers


class Scales(NamedTuple):
    """The scales of some training and test examples."""

    train: Scale
    test: Scale

    def take(self, train: np.ndarray, test: np.ndarray) -> Scales:
        """The scales of some of the examples."""
        return Scales(self.train.take(train), self.test.take(test))


def uncertainty(z: np.ndarray) -> np.ndarray:
    """`z (1 - z)`, rounded down to a multiple of 2^-32, so that its sums are exact too.

    Rounding down never makes an error smaller. The sums are exact over 2^23 trials.
    """
    return np.floor(z * (1 - z) / UNIT) * UNIT


def numbers(held: Numbers, trials: np.ndarray) -> np.ndarray:
    """The `z` of some trials of a batch, float64 `[trials, examples]`."""
    if isinstance(held, Confidence):
        return held.trials(trials).probabilities()
    return fractions(held[trials])


def unpacked(masks: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Packed subsets as float64 `[examples, trials]` of 0 and 1, of some trials of a batch."""
    bits = np.unpackbits(masks.astype("<u8", copy=False).view(np.uint8), axis=1, bitorder="little")
    return bits[:, trials].astype(np.float64)


def new_trials(batch: Batch, seen: np.ndarray) -> np.ndarray:
    """Places of the trials of a batch that come for the first time.

    Args:
      batch: of trials.
      seen: int64, trials of earlier batches.
    """
    _, first = np.unique(batch.trial_ids, return_index=True)
    return first[~np.isin(batch.trial_ids[first], seen)]


class TrainSums:
    """Sums over trials for some training examples, a batch at a time."""

    def __init__(self, count: int) -> None:
        """Begins with no trial, for `count` examples."""
        self._num_in = np.zeros(count, np.int64)
        self._sums = np.zeros((4, count))

    def add(self, masks: np.ndarray, z: np.ndarray) -> None:
        """Adds trials.

        Args:
          masks: float64 `[train, trials]` of 0 and 1.
          z: float64 `[trials, train]`.
        """
        both = np.stack([z, uncertainty(z)])
        self._num_in += masks.sum(axis=1).astype(np.int64)
        self._sums[::2] += both.sum(axis=1)
        self._sums[1::2] += (both * masks.T).sum(axis=1)

    def counts(
        self,
        num_trials: int,
        index: np.ndarray,
        label: np.ndarray,
        scale: Scale | None,
        measure: Measure,
    ) -> TrainCounts:
        """The sums, with what they are of; see `TrainCounts`."""
        z, z_in, uncertain, uncertain_in = self._sums
        return TrainCounts(
            num_trials,
            index,
            label,
            self._num_in,
            z,
            z_in,
            uncertain,
            uncertain_in,
            scale,
            measure,
        )


def sum_class(
    num_trials: int,
    label: int,
    train_index: np.ndarray,
    test_index: np.ndarray,
    batches: Iterable[Batch],
    scales: Scales | None = None,
    measure: Measure = PROBABILITY,
) -> ClassCounts:
    """Sums over trials for the examples of one class.

    Args:
      num_trials: number of different trials.
      label: the class.
      train_index: int64 `[train]`, its training examples, ascending.
      test_index: int64 `[test]`, its test examples, ascending.
      batches: all trials, in any order; one that comes again counts once.
      scales: of these examples; None where `z` is what means are taken of.
      measure: what means are taken of.
    """
    trains, tests = len(train_index), len(test_index)
    train = TrainSums(trains)
    test, test_in = np.zeros(2 * tests), np.zeros((trains, 2 * tests))
    seen = np.zeros(0, np.int64)
    for batch in batches:
        first = new_trials(batch, seen)
        seen = np.union1d(seen, batch.trial_ids)
        masks = unpacked(batch.masks, first)
        train.add(masks, numbers(batch.train, first))
        z = numbers(batch.test, first)
        both = np.concatenate([z, uncertainty(z)], axis=1)
        test += both.sum(axis=0)
        test_in += masks @ both
    labels = np.full(trains, label, np.int64)
    return ClassCounts(
        label,
        train.counts(num_trials, train_index, labels, scales and scales.train, measure),
        test_index,
        test[:tests],
        test_in[:, :tests],
        test[tests:],
        test_in[:, tests:],
        scales and scales.test,
    )
