"""Holds the scores of a run's trials in memory, so that any part of them can be summed."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfmem.aggregation.bits import Group
from tfmem.aggregation.held import Counter
from tfmem.aggregation.identities import Checked
from tfmem.aggregation.repeats import each_subset
from tfmem.aggregation.values import OneTrial, Ranges, scales_of, values_of
from tfmem.estimation.estimator import ClassCounts, Measure
from tfmem.estimation.kernels import transpose_bits
from tfmem.estimation.scales import UNSCALED, fixed_point, range_of
from tfmem.estimation.sums import Batch, Scales, sum_class
from tfmem.store.labels import Labels


@dataclass(frozen=True)
class HeldScores:
    """Some trials with their scores, which take 32 or 64 bits for each example.

    Where several models were trained on each subset, a trial is the mean of these models.

    Attributes:
      trial_ids: int64 `[trials]`, ascending.
      masks: uint8 `[trials, bytes]`, packed as in records.
      train: `[trials, num_train]`, the values of the statistic.
      test: `[trials, num_test]`, likewise.
      scales: of all examples; None where all values are from 0 to 1.
      measure: what the values are.
      checked: what their records have in common.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train: np.ndarray
    test: np.ndarray
    scales: Scales | None
    measure: Measure
    checked: Checked

    def __len__(self) -> int:
        return len(self.trial_ids)

    def halves(self) -> tuple[HeldScores, HeldScores]:
        """Returns every second trial from the first on, and every second from the second on."""
        return self.part(slice(None, None, 2)), self.part(slice(1, None, 2))

    def part(self, which: slice) -> HeldScores:
        """Some of the trials, by their order."""
        return replace(
            self,
            trial_ids=self.trial_ids[which],
            masks=self.masks[which],
            train=self.train[which],
            test=self.test[which],
        )

    def means(self, num_test: int) -> np.ndarray:
        """The mean score of each trial on the test examples, float64 `[trials]`."""
        return self.test.sum(axis=1, dtype=np.float64) / max(num_test, 1)

    def counter(self, labels: Labels) -> Counter:
        """Returns a function that sums examples of one class over the trials."""
        masks = transpose_bits(self.masks, len(labels.train_labels))

        def count(label: int, part: Group) -> ClassCounts:
            scales = self.scales and self.scales.take(*part)
            batch = Batch(
                self.trial_ids,
                masks[part.train],
                fixed_point(self.train[:, part.train], scales.train if scales else UNSCALED),
                fixed_point(self.test[:, part.test], scales.test if scales else UNSCALED),
            )
            return sum_class(len(self), label, *part, [batch], scales, self.measure)

        return count


def hold_scores(predictions: str | Sequence[str], labels: str, measure: Measure) -> HeldScores:
    """Reads the scores of each trial that did not diverge once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      measure: the values to hold: margins, losses or scores, or means of the models of each subset.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    checked: list[Checked] = []

    def trials() -> Generator[tuple[OneTrial, str], None, None]:
        checked.append((yield from each_subset(predictions, labels, measure)))

    rows = {
        record.trial_id: (
            np.frombuffer(record.subset_mask, np.uint8),
            values_of(record, source, "train", measure),
            values_of(record, source, "test", measure),
        )
        for record, source in trials()
    }
    ids = sorted(rows)
    masks, train, test = map(np.stack, zip(*(rows[trial] for trial in ids), strict=True))
    scales = scales_of(Ranges(range_of(train), range_of(test)), measure)
    return HeldScores(np.array(ids, np.int64), masks, train, test, scales, measure, *checked)
