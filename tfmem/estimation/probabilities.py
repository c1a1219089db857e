"""Sums over trials of the probabilities of true labels, exact in any order.

All probabilities are multiples of 2^-32 (see `tfmem.store.confidence`), so float64 holds sums of up
to 2^21 of them exactly, and a matrix product with 0 and 1 is the same to the bit in whatever order,
blocks or threads.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from tfmem.estimation.estimator import ClassCounts, TrainCounts
from tfmem.store.confidence import UNIT, Confidence


class Batch(NamedTuple):
    """Subsets and probabilities of one class's examples in a batch of trials.

    Attributes:
      trial_ids: int64 `[batch]`.
      masks: uint64 `[train, words]`, packed along the trials of the batch.
      train: how sure models are of the label, `[batch, train]`.
      test: likewise, `[batch, test]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train: Confidence
    test: Confidence


def uncertainty(probability: np.ndarray) -> np.ndarray:
    """`p (1 - p)`, rounded down to a multiple of 2^-32, so that its sums are exact too.

    Rounding down never makes an error smaller. The sums are exact over 2^23 trials.
    """
    return np.floor(probability * (1 - probability) / UNIT) * UNIT


def sum_class(
    num_trials: int,
    label: int,
    train_index: np.ndarray,
    test_index: np.ndarray,
    batches: Iterable[Batch],
) -> ClassCounts:
    """Sums over trials for the examples of one class.

    Args:
      num_trials: number of different trials.
      label: the class.
      train_index: int64 `[train]`, its training examples, ascending.
      test_index: int64 `[test]`, its test examples, ascending.
      batches: all trials, in any order; one that comes again counts once.
    """
    trains, tests = len(train_index), len(test_index)
    num_in, train = np.zeros(trains, np.int64), np.zeros((4, trains))
    test, test_in = np.zeros(2 * tests), np.zeros((trains, 2 * tests))
    seen = np.zeros(0, np.int64)
    for batch in batches:
        ids, first = np.unique(batch.trial_ids, return_index=True)
        first = first[~np.isin(ids, seen)]
        seen = np.union1d(seen, ids)
        bits = np.unpackbits(
            batch.masks.astype("<u8", copy=False).view(np.uint8), axis=1, bitorder="little"
        )
        masks = bits[:, first].astype(np.float64)
        p = batch.train.trials(first).probabilities()
        both = np.stack([p, uncertainty(p)])
        num_in += bits[:, first].sum(axis=1, dtype=np.int64)
        train[::2] += both.sum(axis=1)
        train[1::2] += (both * masks.T).sum(axis=1)
        p = batch.test.trials(first).probabilities()
        both = np.concatenate([p, uncertainty(p)], axis=1)
        test += both.sum(axis=0)
        test_in += masks @ both
    return ClassCounts(
        label,
        TrainCounts(num_trials, train_index, np.full(trains, label, np.int64), num_in, *train),
        test_index,
        test[:tests],
        test_in[:, :tests],
        test[tests:],
        test_in[:, tests:],
    )
