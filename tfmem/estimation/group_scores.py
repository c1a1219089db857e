"""Memorization and influence of groups, from counts of correctness or from scores of trials.

The definitions are those of `tfmem.estimation.group_effects`, with the mean score in place of the
probability of a right prediction. Scores of a group are the means over its members in each trial.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tfmem.estimation.differences import Difference, difference
from tfmem.estimation.estimator import Measure, memorization
from tfmem.estimation.group_effects import (
    GroupCounts,
    example_memorization,
    group_influence,
    group_memorization,
    log_group_p_values,
    member_memorization,
)
from tfmem.estimation.scales import UNSCALED, Scale, fixed_point, fractions, range_of, scale_of
from tfmem.estimation.significance import log_mean_p_values
from tfmem.estimation.sums import Scales, TrainSums, uncertainty


@dataclass(frozen=True)
class GroupEstimates:
    """Estimates for one group.

    Attributes:
      name: name of the group.
      members: int64 `[size]`, its training examples.
      num_trials: number of trials `t`.
      num_in: trials with all of it in the subset.
      num_out: trials with none of it in the subset.
      memorization: of the group, arrays without axes.
      means: mean of the statistic over members, in trials in and out; NaN without trials.
      of_members: what each member has in the group's memorization, `[size]`.
      member_means: mean of the statistic of each member, in trials in and out, `[2, size]`.
      alone: float64 `[size]`, memorization of each member whatever of the group is in the subset.
      influence: on each test example, `[num_test]`.
      log_p: float64 `[num_test]`, logarithm of the p-value of each influence, one-sided; empty
        without trials in or out.
    """

    name: str
    members: np.ndarray
    num_trials: int
    num_in: int
    num_out: int
    memorization: Difference
    means: tuple[float, float]
    of_members: Difference
    member_means: np.ndarray
    alone: np.ndarray
    influence: Difference
    log_p: np.ndarray


def estimates_of_counts(counts: GroupCounts) -> GroupEstimates:
    """The estimates that follow from counts of correctness."""
    size, numbers = len(counts.members), (counts.num_in, counts.num_out)
    correct = counts.member_correct_in, counts.member_correct_out
    one, other = (
        float(right.sum() / (size * number)) if number else np.nan
        for right, number in zip(correct, numbers, strict=True)
    )
    return GroupEstimates(
        counts.name,
        counts.members,
        counts.num_trials,
        *numbers,
        group_memorization(counts),
        (one, other),
        member_memorization(counts),
        np.array(
            [
                right / number if number else np.full(size, np.nan)
                for right, number in zip(correct, numbers, strict=True)
            ]
        ),
        example_memorization(counts).value,
        group_influence(counts),
        log_group_p_values(counts),
    )


class GroupScores:
    """Trials with scores, from which groups are estimated one after another."""

    def __init__(
        self,
        masks: np.ndarray,
        train: np.ndarray,
        test: np.ndarray,
        scales: Scales | None,
        measure: Measure,
    ) -> None:
        """Takes over trials, in an order that does not depend on how they were read.

        Args:
          masks: bool `[trials, num_train]`.
          train: `[trials, num_train]`, the scores of training examples.
          test: `[trials, num_test]`.
          scales: of all examples; None where all scores are from 0 to 1.
          measure: what the scores are.
        """
        self._masks = masks
        self._train = train
        self._test = fractions(fixed_point(test, scales.test if scales else UNSCALED))
        self._scales = scales
        self._measure = measure

    def estimates(self, name: str, members: np.ndarray) -> GroupEstimates:
        """The estimates for a group of this name, with int64 `[size]` `members`."""
        masks, scores = self._masks[:, members], self._train[:, members].astype(np.float64)
        sides = np.asarray(masks.all(axis=1)), np.asarray(~masks.any(axis=1))
        scale = self._scales.train.take(members) if self._scales else UNSCALED
        z = fractions(fixed_point(scores, scale))
        whole = scores.mean(axis=1, keepdims=True)
        of_group = scale_of(range_of(whole)) if self._scales else UNSCALED
        found = self._compare(fractions(fixed_point(whole, of_group)), sides, of_group)
        first, *rest = (np.asarray(part)[0] for part in vars(found).values())
        sums = TrainSums(len(members))
        sums.add(masks.T.astype(np.float64), z)
        alone = sums.counts(len(masks), members, members, self._scales and scale, self._measure)
        means = [
            scores[side].mean(axis=0) if side.any() else np.full(len(members), np.nan)
            for side in sides
        ]
        return GroupEstimates(
            name,
            members,
            len(masks),
            int(sides[0].sum()),
            int(sides[1].sum()),
            Difference(first, *rest),
            (float(means[0].mean()), float(means[1].mean())),
            self._compare(z, sides, scale),
            np.array(means),
            memorization(alone).value,
            self._compare(self._test, sides, self._scales.test if self._scales else UNSCALED),
            self._log_p(sides),
        )

    def _compare(
        self, z: np.ndarray, sides: tuple[np.ndarray, np.ndarray], scale: Scale
    ) -> Difference:
        """Compares the `z` `[trials, examples]` of trials in and out."""
        one, other = (z[side] for side in sides)
        return difference(
            one.sum(axis=0),
            np.asarray(len(one)),
            other.sum(axis=0),
            np.asarray(len(other)),
            uncertainty(one).sum(axis=0),
            uncertainty(other).sum(axis=0),
            scale.width if self._scales else None,
        )

    def _log_p(self, sides: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Permutation test among trials that do not split the group (see `log_mean_p_values`)."""
        inside, outside = sides
        if not (inside.any() and outside.any()):
            return np.zeros(0)
        one, other = self._test[inside].sum(axis=0), self._test[outside].sum(axis=0)
        counted = self._test[inside | outside]
        num_in, trials = int(inside.sum()), len(counted)
        covariance = trials * one - num_in * (one + other)
        squares = (one + other) * (trials - one - other) - trials * uncertainty(counted).sum(axis=0)
        spread = np.maximum(squares, 0) / max(trials - 1, 1)
        deviation = np.sqrt(num_in * (trials - num_in) * spread)
        return log_mean_p_values(covariance, deviation, "positive")
