"""Sums the numbers that trials give examples, class by class."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Sequence

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tfmem.aggregation.bits import BATCH, Grouping, WithGroups, by_class, turned, within
from tfmem.aggregation.values import SCALED, OneTrial, confidence, values_of
from tfmem.estimation.estimator import ClassCounts, Measure
from tfmem.estimation.scales import UNSCALED, fixed_point
from tfmem.estimation.sums import Batch, Numbers, Scales, sum_class
from tfmem.store.confidence import Confidence
from tfmem.store.predictions import Split, TrialRecord


class _Cut(WithGroups):
    """Cuts a batch of records into the numbers of each group's examples."""

    def __init__(self, labels_path: str, groups: Grouping, measure: Measure) -> None:
        super().__init__(labels_path, groups)
        self._measure = measure

    def process(
        self, batch: list[tuple[OneTrial, str]], scales: Scales | None = None
    ) -> Iterator[tuple[int, Batch]]:
        trial_ids = np.array([record.trial_id for record, _ in batch], np.int64)
        size = len(self._labels.train_labels)
        masks = turned([record.subset_mask for record, _ in batch], size)
        train, test = (
            _stack(batch, split, self._measure, scales, any(self._members(split)))
            for split in ("train", "test")
        )
        for key, group in self._groups.items():
            held = _examples(train, group.train), _examples(test, group.test)
            yield key, Batch(trial_ids, masks[group.train], *held)

    def _members(self, split: Split) -> list[int]:
        return [len(getattr(group, split)) for group in self._groups.values()]


def _stack(
    batch: list[tuple[OneTrial, str]],
    split: Split,
    measure: Measure,
    scales: Scales | None,
    needed: bool,
) -> Numbers:
    """Collects the numbers of all examples in a batch of trials, or none if none are needed."""
    if measure.statistic not in SCALED and measure.models == 1:
        return Confidence.of(
            [
                confidence(record, source, split, measure.statistic)
                for record, source in batch
                if isinstance(record, TrialRecord)
            ]
        )
    if not needed:
        return np.zeros((len(batch), 0), np.uint32)
    scale = getattr(scales, split) if scales else UNSCALED
    return np.stack([fixed_point(values_of(*each, split, measure), scale) for each in batch])


def _examples(held: Numbers, chosen: np.ndarray) -> Numbers:
    return held.examples(chosen) if isinstance(held, Confidence) else held[:, chosen]


class _SumClass(WithGroups):
    """Sums all numbers of a class."""

    def __init__(self, labels_path: str, groups: Grouping, measure: Measure) -> None:
        super().__init__(labels_path, groups)
        self._measure = measure
        self._counted = Metrics.counter("tfmem", "classes_counted")

    def process(
        self,
        element: tuple[int, Iterable[Batch]],
        num_trials: int,
        scales: Scales | None = None,
    ) -> Iterator[ClassCounts]:
        label, batches = element
        group = self._groups[label]
        self._counted.inc()
        of_group = scales and scales.take(*group)
        yield sum_class(num_trials, label, *group, batches, of_group, self._measure)


@beam.ptransform_fn
def GatherNumbers(
    records: beam.PCollection[tuple[OneTrial, str]],
    labels_path: str,
    groups: Grouping,
    measure: Measure,
    scales: Sequence[beam.pvalue.AsSingleton] = (),
) -> beam.PCollection[tuple[int, Iterable[Batch]]]:
    """The numbers of each group, in batches of trials.

    Args:
      records: of all trials.
      labels_path: the `labels.npz` that belongs to them.
      groups: which examples are gathered together.
      measure: which numbers.
      scales: those of all examples, if the measure has scales.
    """
    cut = _Cut(labels_path, groups, measure)
    return (
        records
        | "BatchTrials" >> beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
        | "CutNumbers" >> beam.ParDo(cut, *scales).with_output_types(tuple[int, Batch])
        | "GatherGroup" >> beam.GroupByKey()
    )


@beam.ptransform_fn
def SumClasses(
    records: beam.PCollection[tuple[OneTrial, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
    measure: Measure,
    scales: Sequence[beam.pvalue.AsSingleton] = (),
) -> beam.PCollection[ClassCounts]:
    """Sums numbers over trials for each class of a part that has examples."""
    groups = functools.partial(within, part, by_class)
    return (
        records
        | "GatherClasses" >> GatherNumbers(labels_path, groups, measure, scales)
        | "SumClass" >> beam.ParDo(_SumClass(labels_path, groups, measure), num_trials, *scales)
    )
