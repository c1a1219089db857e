"""Sums the probabilities that trials give the true labels, class by class."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Literal

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tfmem.aggregation.bits import BATCH, Grouping, WithGroups, by_class, turned, within
from tfmem.estimation.estimator import ClassCounts
from tfmem.estimation.probabilities import Batch, sum_class
from tfmem.messages.errors import InputError
from tfmem.store.confidence import Confidence
from tfmem.store.predictions import TrialRecord


class _CutProbabilities(WithGroups):
    """Cuts a batch of records into the probabilities of each class."""

    def process(self, batch: list[tuple[TrialRecord, str]]) -> Iterator[tuple[int, Batch]]:
        records = [record for record, _ in batch]
        trial_ids = np.array([record.trial_id for record in records], np.int64)
        masks = turned([record.subset_mask for record in records], len(self._labels.train_labels))
        train, test = _stack(batch, "train"), _stack(batch, "test")
        for key, group in self._groups.items():
            confidences = train.examples(group.train), test.examples(group.test)
            yield key, Batch(trial_ids, masks[group.train], *confidences)


def _stack(batch: list[tuple[TrialRecord, str]], split: Literal["train", "test"]) -> Confidence:
    """Collects the margins or probabilities of a batch of trials."""
    found = []
    for record, source in batch:
        confidence = record.confidence(split, source)
        if confidence is None:
            feature, earlier = TrialRecord.confidence_features(split)
            raise InputError(
                f"{source}: expected a feature {feature!r} (or {earlier!r} of earlier versions), "
                "which estimation.statistic: probability needs, but there is none: it is written "
                "where training.probabilities is true"
            )
        found.append(confidence)
    return Confidence.of(found)


class _SumClass(WithGroups):
    """Sums all probabilities of a class."""

    def __init__(self, labels_path: str, groups: Grouping) -> None:
        super().__init__(labels_path, groups)
        self._counted = Metrics.counter("tfmem", "classes_counted")

    def process(
        self, element: tuple[int, Iterable[Batch]], num_trials: int
    ) -> Iterator[ClassCounts]:
        label, batches = element
        group = self._groups[label]
        self._counted.inc()
        yield sum_class(num_trials, label, group.train, group.test, batches)


@beam.ptransform_fn
def SumClasses(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
    threads: int | None,
) -> beam.PCollection[ClassCounts]:
    """Sums probabilities over trials for each class of a part that has examples."""
    del threads  # numpy computes the sums in one thread
    groups = functools.partial(within, part, by_class)
    return (
        records
        | "BatchTrials" >> beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
        | "CutProbabilities"
        >> beam.ParDo(_CutProbabilities(labels_path, groups)).with_output_types(tuple[int, Batch])
        | "GatherClass" >> beam.GroupByKey()
        | "SumClass" >> beam.ParDo(_SumClass(labels_path, groups), num_trials)
    )
