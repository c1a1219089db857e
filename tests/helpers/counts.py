"""Counts over trials in the form that kernels take, and computed by brute force."""

import numpy as np

from tfmem.estimation.estimator import ClassCounts, count_train
from tfmem.estimation.kernels import co_occurrence, ones, transpose_bits


def packed(bits):
    """Packs bits `[trials, examples]` into the form that kernels take."""
    return transpose_bits(np.packbits(bits, axis=1, bitorder="little"), bits.shape[1])


def counts_of(masks, train_correct, test_correct, label=0):
    index, right = np.arange(masks.shape[1]), packed(test_correct)
    train = packed(masks), packed(train_correct)
    return ClassCounts(
        label,
        count_train(len(masks), index, np.full(len(index), label), *train),
        np.arange(test_correct.shape[1]),
        ones(right),
        co_occurrence(train[0], right),
    )


def brute_force(masks, correct, i, j):
    """Computes Alg. 1 as it is written, by two loops over trials."""
    held = [bool(correct[k, j]) for k in range(len(masks)) if masks[k, i]]
    left = [bool(correct[k, j]) for k in range(len(masks)) if not masks[k, i]]
    if not held or not left:
        return np.nan
    return sum(held) / len(held) - sum(left) / len(left)
