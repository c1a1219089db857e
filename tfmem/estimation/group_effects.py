"""Memorization and influence of sets of examples, from integer counts over trials.

A trial counts for a group `G` if all of it was in the subset (*in*) or none of it (*out*); trials
that split it count for neither. With `I` the subset and `h` its model:

- the memorization of `G` is the mean over `i` in `G` of
  `Pr[h(x_i) = y_i | G in I] - Pr[h(x_i) = y_i | G and I disjoint]`;
- its influence on the test example `j` is
  `Pr[h(x'_j) = y'_j | G in I] - Pr[h(x'_j) = y'_j | G and I disjoint]`.

For a group of one these are Feldman & Zhang's (2020, Sec. 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfmem.estimation.differences import Difference, difference
from tfmem.estimation.kernels import co_occurrence, transpose_bits
from tfmem.estimation.significance import log_p_values

_BLOCK = 1 << 20  # counts of influence made at once


@dataclass(frozen=True)
class GroupCounts:
    """Sums over trials for one group; its members are in index order.

    Attributes:
      name: the group's.
      members: int64 `[size]`, its training examples.
      num_trials: number of trials `t`.
      num_in: trials with all of it in the subset.
      num_out: trials with none of it in the subset.
      member_correct_in: int64 `[size]`, trials of `num_in` that predict the member correctly.
      member_correct_out: int64 `[size]`, likewise of `num_out`.
      squares_in: sum over the trials of `num_in` of the square of the number of members predicted
        correctly.
      squares_out: likewise of `num_out`.
      member_in: int64 `[size]`, trials with the member in the subset, whatever of the others.
      member_correct: int64 `[size]`, of all trials those that predict the member correctly.
      member_alone_in: int64 `[size]`, of `member_in` those that predict the member correctly.
      test_correct_in: int32 `[num_test]`, trials of `num_in` that predict a test example correctly.
      test_correct_out: int32 `[num_test]`, likewise of `num_out`.
    """

    name: str
    members: np.ndarray
    num_trials: int
    num_in: int
    num_out: int
    member_correct_in: np.ndarray
    member_correct_out: np.ndarray
    squares_in: int
    squares_out: int
    member_in: np.ndarray
    member_correct: np.ndarray
    member_alone_in: np.ndarray
    test_correct_in: np.ndarray
    test_correct_out: np.ndarray


class GroupTally:
    """Counts trials for groups, one trial after the other.

    It keeps, for each trial, one bit for each test example and two bits for each group, which take
    `t * (num_test + 2 * groups) / 8` bytes, besides a few numbers for each member.
    """

    def __init__(self, groups: Mapping[str, np.ndarray], num_test: int) -> None:
        """Begins without trials.

        Args:
          groups: int64 `[size]` training examples of each group; groups may overlap.
          num_test: number of test examples.
        """
        self._groups = groups
        self._num_test = num_test
        self._members = np.concatenate(list(groups.values()))
        self._sizes = np.array([len(members) for members in groups.values()])
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._whole: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self._tests: list[np.ndarray] = []
        self._chosen = 0
        self._offered = 0
        count = len(self._members)
        self._correct = np.zeros((2, count), np.int64)
        self._squares = np.zeros((2, len(groups)), np.int64)
        self._alone = np.zeros((3, count), np.int64)

    def add(self, mask: np.ndarray, train_correct: np.ndarray, test_correct: np.ndarray) -> None:
        """Counts a trial.

        Args:
          mask: bool `[num_train]`, its subset.
          train_correct: bool `[num_train]`.
          test_correct: bool `[num_test]`.
        """
        inside, correct = mask[self._members], train_correct[self._members]
        chosen = np.add.reduceat(inside, self._starts, dtype=np.int64)
        right = np.add.reduceat(correct, self._starts, dtype=np.int64)
        for side, whole in enumerate((chosen == self._sizes, chosen == 0)):
            self._correct[side] += correct & np.repeat(whole, self._sizes)
            self._squares[side] += np.where(whole, right * right, 0)
            self._whole[side].append(np.packbits(whole, bitorder="little"))
        self._alone += np.stack([inside, correct, inside & correct])
        self._chosen += int(np.count_nonzero(mask))
        self._offered += len(mask)
        self._tests.append(np.packbits(test_correct, bitorder="little"))

    @property
    def fraction(self) -> float:
        """Mean share of the training examples in the trials' subsets."""
        return self._chosen / self._offered

    def counts(self) -> Iterator[GroupCounts]:
        """The counts of each group, in their order; influence is counted a block at a time."""
        tests = transpose_bits(np.stack(self._tests), self._num_test)
        block = max(1, _BLOCK // max(1, self._num_test))
        names = list(self._groups)
        whole = [transpose_bits(np.stack(rows), len(names)) for rows in self._whole]
        for first in range(0, len(names), block):
            numbers = np.arange(first, min(first + block, len(names)))
            rows = [bits[numbers] for bits in whole]
            correct = [co_occurrence(bits, tests) for bits in rows]
            trials = [np.bitwise_count(bits).sum(axis=1, dtype=np.int64) for bits in rows]
            for place, number in enumerate(numbers.tolist()):
                part = slice(self._starts[number], self._starts[number] + self._sizes[number])
                yield GroupCounts(
                    name=names[number],
                    members=self._members[part],
                    num_trials=len(self._tests),
                    num_in=int(trials[0][place]),
                    num_out=int(trials[1][place]),
                    member_correct_in=self._correct[0, part],
                    member_correct_out=self._correct[1, part],
                    squares_in=int(self._squares[0, number]),
                    squares_out=int(self._squares[1, number]),
                    member_in=self._alone[0, part],
                    member_correct=self._alone[1, part],
                    member_alone_in=self._alone[2, part],
                    test_correct_in=correct[0][place],
                    test_correct_out=correct[1][place],
                )


def group_memorization(counts: GroupCounts) -> Difference:
    """Memorization of the group, the mean over its members, as arrays without axes.

    What varies between trials is the share of members predicted correctly. Its variance is Welch's
    (each side has its own), after one trial with all of the group right and one with none of it
    right are added to each side. For a group of one that is `difference`, Agresti & Caffo's
    interval; without the addition an interval has no width where models are always right. It is
    wide for large groups with few trials (`tests/test_group_effects.py` has the coverage of both).
    """
    size = len(counts.members)
    means, centers, variances = [], [], []
    for correct, squares, number in (
        (counts.member_correct_in, counts.squares_in, counts.num_in),
        (counts.member_correct_out, counts.squares_out, counts.num_out),
    ):
        total = int(correct.sum()) / size
        means.append(total / number if number else np.nan)
        center = (total + 1) / (number + 2)
        variances.append(((squares / size**2 + 1) / (number + 2) - center**2) / (number + 2))
        centers.append(center)
    value = np.asarray(means[0] - means[1], np.float64)
    stderr = np.where(np.isnan(value), np.nan, np.sqrt(sum(variances)))
    half, center = NormalDist().inv_cdf(0.975) * stderr, centers[0] - centers[1]
    return Difference(value, stderr, np.maximum(center - half, -1), np.minimum(center + half, 1))


def member_memorization(counts: GroupCounts) -> Difference:
    """Estimates each member's part of the group's memorization: arrays `[size]`."""
    return difference(
        counts.member_correct_in,
        np.asarray(counts.num_in),
        counts.member_correct_out,
        np.asarray(counts.num_out),
    )


def example_memorization(counts: GroupCounts) -> Difference:
    """Estimates the memorization of each member as a single example: arrays `[size]`."""
    return difference(
        counts.member_alone_in,
        counts.member_in,
        counts.member_correct - counts.member_alone_in,
        counts.num_trials - counts.member_in,
    )


def group_influence(counts: GroupCounts) -> Difference:
    """Influence of the group on each test example: arrays `[num_test]`."""
    return difference(
        counts.test_correct_in,
        np.asarray(counts.num_in),
        counts.test_correct_out,
        np.asarray(counts.num_out),
    )


def log_group_p_values(counts: GroupCounts) -> np.ndarray:
    """Natural logarithm of the exact probability of an influence as large, if the group has none.

    As for pairs, one-sided; the trials are those that do not split the group.

    Returns:
      float64 `[num_test]`; empty if there are no trials with, or none without the group.
    """
    if not (counts.num_in and counts.num_out):
        return np.zeros(0)
    return log_p_values(
        counts.test_correct_in.astype(np.int64),
        np.asarray(counts.num_in),
        counts.test_correct_in.astype(np.int64) + counts.test_correct_out,
        counts.num_in + counts.num_out,
        "positive",
    )
