"""Holds the trials of a run in memory as bits, so that any part of them can be counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tfmem.aggregation.bits import Bits, Group, by_class
from tfmem.aggregation.counting import count_class
from tfmem.aggregation.one_by_one import each_trial
from tfmem.estimation.estimator import CORRECTNESS, ClassCounts, Measure
from tfmem.estimation.kernels import transpose_bits
from tfmem.store.labels import Labels

Counter = Callable[[int, Group], ClassCounts]

_PAIRS = 1 << 22  # number of pairs to count at once; their estimates and errors take 200 MB


@dataclass(frozen=True)
class HeldTrials:
    """Some trials as bits, which take `t (2 n + n') / 8` bytes.

    Attributes:
      trial_ids: int64 `[trials]`, ascending.
      masks: uint8 `[trials, bytes]`, packed as in records.
      train_correct: uint8 `[trials, bytes]`.
      test_correct: uint8 `[trials, bytes]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray

    def __len__(self) -> int:
        return len(self.trial_ids)

    def halves(self) -> tuple[HeldTrials, HeldTrials]:
        """Returns every second trial from the first on, and every second from the second on."""
        return self.part(slice(None, None, 2)), self.part(slice(1, None, 2))

    def part(self, which: slice) -> HeldTrials:
        """Some of the trials, by their order."""
        return HeldTrials(*(values[which] for values in vars(self).values()))

    def turned(self, labels: Labels) -> Bits:
        """Packs the bits along the trials, for counting; the result takes the same size again."""
        train, test = len(labels.train_labels), len(labels.test_labels)
        return Bits(
            self.trial_ids,
            transpose_bits(self.masks, train),
            transpose_bits(self.train_correct, train),
            transpose_bits(self.test_correct, test),
        )

    def means(self, num_test: int) -> np.ndarray:
        """The test accuracy of each trial, float64 `[trials]`."""
        return np.bitwise_count(self.test_correct).sum(axis=1) / max(num_test, 1)

    @property
    def measure(self) -> Measure:
        """What means over the trials are taken of."""
        return CORRECTNESS

    def counter(self, labels: Labels) -> Counter:
        """Returns a function that counts trials for examples of one class."""
        bits, trials = self.turned(labels), len(self)

        def count(label: int, part: Group) -> ClassCounts:
            correct = bits.train_correct[part.train], bits.test_correct[part.test]
            return count_class(label, part, trials, bits.masks[part.train], *correct)

        return count


def hold_trials(predictions: str | Sequence[str], labels: str) -> HeldTrials:
    """Reads each trial that did not diverge once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    rows = []
    for record, source in each_trial(predictions, labels):
        record.check_correctness(source)
        correct = record.train_correct, record.test_correct
        rows.append((record.trial_id, record.subset_mask, *correct))
    rows.sort()
    ids, *packed = zip(*rows, strict=True)
    bits = (np.frombuffer(b"".join(column), np.uint8).reshape(len(ids), -1) for column in packed)
    return HeldTrials(np.array(ids, np.int64), *bits)


def count_in_parts(labels: Labels, counters: Sequence[Counter]) -> Iterator[list[ClassCounts]]:
    """Counts every class in parts of its training examples, the same part with every counter.

    Args:
      labels: of the data set that all counters are of.
      counters: those of some sets of trials.
    """
    for label, group in by_class(labels).items():
        size = max(1, _PAIRS // max(1, len(group.test)))
        for start in range(0, len(group.train), size):
            part = Group(group.train[start : start + size], group.test)
            yield [count(label, part) for count in counters]
