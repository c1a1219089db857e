"""Computes disk, memory and time of a run from the sizes of its data and the time of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tfmem.messages.errors import InputError

PairsOf = Literal["same-class", "all"]
RECORD_OVERHEAD = 350  # bytes of a prediction record that are not bits or probabilities, at most
TILE = 1024  # training examples whose counts with all test examples are held at once


@dataclass(frozen=True)
class Sizes:
    """The sizes of a data set that a plan depends on.

    Attributes:
      num_train: training examples `n`.
      num_test: test examples `n'`.
      same_class_pairs: number of pairs of a training and a test example of one class.
      largest_class: number of such pairs in the class that has most.
    """

    num_train: int
    num_test: int
    same_class_pairs: int
    largest_class: int

    @classmethod
    def of_labels(cls, train_labels: np.ndarray, test_labels: np.ndarray) -> Sizes:
        """Counts pairs.

        Args:
          train_labels: int64 `[num_train]`.
          test_labels: int64 `[num_test]`.
        """
        classes = 1 + int(max(train_labels.max(initial=0), test_labels.max(initial=0)))
        train, test = (np.bincount(labels, minlength=classes) for labels in
                       (train_labels, test_labels))  # fmt: skip
        pairs = train * test
        return cls(len(train_labels), len(test_labels), int(pairs.sum()), int(pairs.max()))

    @classmethod
    def of_equal_classes(cls, num_train: int, num_test: int, classes: int) -> Sizes:
        """The sizes of a data set with as many examples of each class as of any other.

        The number of pairs is also right if that holds of the test examples alone, as in ImageNet.

        Raises:
          InputError: if there are more classes than examples, or none.
        """
        if not 1 <= classes <= min(num_train, num_test):
            raise InputError(
                "examples: expected numbers of training examples, test examples and classes, all "
                "at least 1 and no more classes than examples; received "
                f"{num_train}, {num_test}, {classes}"
            )
        block = -(-num_train // classes) * -(-num_test // classes)
        return cls(num_train, num_test, num_train * num_test // classes, block)

    def candidates(self, pairs: PairsOf) -> int:
        """The number of pairs among which a run searches."""
        return self.same_class_pairs if pairs == "same-class" else self.num_train * self.num_test


def record_bytes(sizes: Sizes, probabilities: bool) -> int:
    """Computes the bytes of one trial's prediction record on disk, within a hundred bytes.

    One bit for each training example's place in the subset, one for each prediction, and a float16
    margin of the true label if those are kept.
    """
    bits = 2 * -(-sizes.num_train // 8) + -(-sizes.num_test // 8)
    floats = 2 * (sizes.num_train + sizes.num_test) if probabilities else 0
    return bits + floats + RECORD_OVERHEAD


def counting_bytes(sizes: Sizes, trials: int, pairs: PairsOf) -> int:
    """Computes the least memory that estimation needs for its bits and counts.

    The bits of all trials, packed along trials into 64-bit words, and the int32 counts of the
    largest class, or of a tile of 1,024 training examples with all test examples.
    """
    words = -(-trials // 64)
    bits = 8 * words * (2 * sizes.num_train + sizes.num_test)
    tile = min(TILE, sizes.num_train) * sizes.num_test
    return bits + 4 * (sizes.largest_class if pairs == "same-class" else tile)


@dataclass(frozen=True)
class TrialTime:
    """The time of a trial on one machine, all of whose lanes are at work.

    Attributes:
      training: seconds of a trial in epochs over its subset.
      rest: other seconds of a trial, mostly for predictions on all examples.
      fraction: the subset fraction of the trials that were timed.
      start: seconds before the first trial, in which programs are imported and traced and the size
        of stacks is chosen; 0 if it was not measured.
    """

    training: float
    rest: float
    fraction: float
    start: float = 0.0

    def seconds(self, fraction: float) -> float:
        """Seconds a trial on another subset fraction: epochs take as long as they have examples."""
        return self.training * fraction / self.fraction + self.rest
