"""From trial records to integer counts a class, in a shape that any number of workers can share.

A batch of trials is cut into one element a class: the bits of that class's examples, turned so that
they are packed along trials. Everything of a class then meets in one place and is counted once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tfmem.aggregation.reading import load_labels
from tfmem.estimation.estimator import ClassCounts, count_class
from tfmem.estimation.kernels import transpose_bits
from tfmem.predictions import TrialRecord


class ClassBits(NamedTuple):
    """The bits of one class's examples in a batch of trials.

    Attributes:
      trial_ids: int64 `[batch]`.
      masks: uint64 `[train, words]`, packed along the trials of the batch.
      train_correct: uint64 `[train, words]`.
      test_correct: uint64 `[test, words]`.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    train_correct: np.ndarray
    test_correct: np.ndarray


class _ByClass(beam.DoFn):
    """A DoFn that knows which examples belong to which class."""

    def __init__(self, labels_path: str) -> None:
        self._labels_path = labels_path

    def setup(self) -> None:
        labels = load_labels(self._labels_path)
        self._classes = len(labels.class_names)
        self._train = _by_class(labels.train_labels, self._classes)
        self._test = _by_class(labels.test_labels, self._classes)


class _CutByClass(_ByClass):
    """A batch of records into the bits of each class."""

    def process(self, batch: list[tuple[TrialRecord, str]]) -> Iterator[tuple[int, ClassBits]]:
        records = [record for record, _ in batch]
        trial_ids = np.array([record.trial_id for record in records], np.int64)
        masks, train_correct, test_correct = (
            np.stack([np.frombuffer(getattr(record, name), np.uint8) for record in records])
            for name in ("subset_mask", "train_correct", "test_correct")
        )
        for label in range(self._classes):
            train, test = self._train[label], self._test[label]
            if len(train) or len(test):
                yield (
                    label,
                    ClassBits(
                        trial_ids,
                        transpose_bits(masks, train),
                        transpose_bits(train_correct, train),
                        transpose_bits(test_correct, test),
                    ),
                )


class _CountClass(_ByClass):
    """All bits of a class into its counts; `num_trials` is there once the records are checked."""

    def __init__(self, labels_path: str) -> None:
        super().__init__(labels_path)
        self._counted = Metrics.counter("tfmem", "classes_counted")

    def process(
        self, element: tuple[int, Iterable[ClassBits]], num_trials: int
    ) -> Iterator[ClassCounts]:
        label, batches = element
        bits = _first_of_each_trial(batches)
        self._counted.inc()
        yield count_class(label, num_trials, self._train[label], self._test[label], *bits)


def _by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def _first_of_each_trial(
    batches: Iterable[ClassBits],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Joins batches; a trial that comes again (with equal content) has its bits cleared."""
    seen: set[int] = set()
    parts: list[list[np.ndarray]] = [[], [], []]
    for batch in batches:
        fresh = np.array([_add(seen, trial) for trial in batch.trial_ids.tolist()])
        packed = np.packbits(fresh, bitorder="little")
        keep = np.zeros(batch.masks.shape[1] * 8, np.uint8)
        keep[: len(packed)] = packed
        for part, bits in zip(parts, batch[1:], strict=True):
            part.append(bits & keep.view(np.uint64))
    masks, train_correct, test_correct = (np.concatenate(part, axis=1) for part in parts)
    return masks, train_correct, test_correct


def _add(seen: set[int], trial: int) -> bool:
    new = trial not in seen
    seen.add(trial)
    return new


@beam.ptransform_fn
def CountClasses(
    records: beam.PCollection[tuple[TrialRecord, str]],
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
) -> beam.PCollection[ClassCounts]:
    """Counts over trials for each class that has examples."""
    return (
        records
        | "BatchTrials" >> beam.BatchElements(min_batch_size=64, max_batch_size=256)
        | "CutByClass" >> beam.ParDo(_CutByClass(labels_path))
        | "GatherClass" >> beam.GroupByKey()
        | "CountClass" >> beam.ParDo(_CountClass(labels_path), num_trials)
    )
