"""Counts the bits of trials for each class, or for each tile, in which it also searches pairs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tfmem.aggregation.bits import (
    BATCH,
    GatherBits,
    Group,
    GroupBits,
    Grouping,
    WithGroups,
    by_class,
    by_tile,
    join,
    only_tests,
    within,
)
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts, TestCounts, TrainCounts, count_train
from tfmem.estimation.kernels import co_occurrence, ones
from tfmem.estimation.search import Search
from tfmem.selection.candidates import Candidates
from tfmem.selection.finding import in_all_classes
from tfmem.store.predictions import TrialRecord


class _CountClass(WithGroups):
    """Counts all bits of a class; `num_trials` is known only when the records have been checked."""

    def __init__(self, labels_path: str, groups: Grouping, threads: int | None) -> None:
        super().__init__(labels_path, groups)
        self._threads = threads
        self._counted = Metrics.counter("tfmem", "classes_counted")

    def process(
        self, element: tuple[int, Iterable[GroupBits]], num_trials: int
    ) -> Iterator[ClassCounts]:
        label, batches = element
        self._counted.inc()
        group = self._groups[label]
        bits = join(batches, group)
        correct = bits.train_correct, bits.test_correct
        yield count_class(label, group, num_trials, bits.masks, *correct, self._threads)


def count_class(
    label: int,
    group: Group,
    num_trials: int,
    masks: np.ndarray,
    train_correct: np.ndarray,
    test_correct: np.ndarray,
    threads: int | None = None,
) -> ClassCounts:
    """Counts over trials for examples of one class.

    Args:
      label: the class.
      group: the examples of the class, or some of them.
      num_trials: number of trials `t`.
      masks: uint64 `[train, words]`, the trials whose subset holds the example.
      train_correct: uint64 `[train, words]`, the trials that predict the example correctly.
      test_correct: uint64 `[test, words]`, likewise for test examples.
      threads: number of threads; None is one for each core.
    """
    labels = np.full(len(group.train), label, np.int64)
    return ClassCounts(
        label=label,
        train=count_train(num_trials, group.train, labels, masks, train_correct),
        test_index=group.test,
        test_correct=ones(test_correct),
        test_correct_in=co_occurrence(masks, test_correct, threads),
    )


@beam.ptransform_fn
def BatchTrials(
    records: beam.PCollection[tuple[TrialRecord, str]],
) -> beam.PCollection[list[tuple[TrialRecord, str]]]:
    """Puts records into batches, without the features that are not counted."""
    return (
        records
        | "OnlyBits" >> beam.MapTuple(_only_bits)
        | beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
    )


def _only_bits(record: TrialRecord, source: str) -> tuple[TrialRecord, str]:
    record.check_correctness(source)
    return record.only_bits(), source


@beam.ptransform_fn
def CountClasses(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
    threads: int | None,
) -> beam.PCollection[ClassCounts]:
    """Counts over trials for each class of a part that has examples."""
    groups = functools.partial(within, part, by_class)
    return (
        records
        | "BatchTrials" >> BatchTrials()
        | "GatherClasses" >> GatherBits(labels_path, groups)
        | "CountClass" >> beam.ParDo(_CountClass(labels_path, groups, threads), num_trials)
    )


class Room(NamedTuple):
    """Limits of the memory and threads of a job; results do not depend on them.

    Attributes:
      memory: bytes that a job may take; a job that has too few reads its input more often. None is
        most of the free memory, or no limit with runners that share the work among machines.
      tile: number of training examples whose bits are searched together.
      found: number of pairs that one step of a search can find.
      threads: number of threads of a process. None is one for each core if this process runs the
        job itself, otherwise one, because other runners start a process for each core.
    """

    memory: int | None = None
    tile: int = 65_536
    found: int = 4_000_000
    threads: int | None = None


class TileCounts(NamedTuple):
    """Sums over trials for a tile of training examples, and its pairs that may be selected."""

    train: TrainCounts
    candidates: Candidates


class _SearchTile(WithGroups):
    """Counts all bits of a tile, and searches its candidates."""

    def __init__(
        self,
        labels_path: str,
        groups: Grouping,
        capacity: int,
        threads: int | None,
        settings: SelectionSettings,
    ) -> None:
        super().__init__(labels_path, groups)
        self._capacity = capacity
        self._threads = threads
        self._settings = settings
        self._searched = Metrics.counter("tfmem", "tiles_searched")

    def process(
        self,
        element: tuple[int, Iterable[GroupBits]],
        num_trials: int,
        test_bits: Iterable[GroupBits],
    ) -> Iterator[TileCounts]:
        tile, batches = element
        index, labels = self._groups[tile].train, self._labels
        masks, train_correct = join(batches, self._groups[tile])[1:3]
        test_correct = join(test_bits, only_tests(labels)[0]).test_correct
        train = count_train(num_trials, index, labels.train_labels[index], masks, train_correct)
        tests = TestCounts(
            np.arange(len(labels.test_labels)), labels.test_labels, ones(test_correct)
        )
        search = Search(test_correct, num_trials, self._capacity, self._threads)
        possible = len(labels.train_labels) * len(labels.test_labels)
        found = in_all_classes(train, masks, tests, search, self._settings, possible)
        self._searched.inc()
        yield TileCounts(train, found)


def _listed(_: int, bits: Iterable[GroupBits]) -> list[GroupBits]:
    return list(bits)


@beam.ptransform_fn
def SearchTiles(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
    room: Room,
    settings: SelectionSettings,
) -> beam.PCollection[TileCounts]:
    """Counts each tile of training examples of a part, and finds candidates among all its pairs."""
    search = functools.partial(
        _SearchTile, capacity=room.found, threads=room.threads, settings=settings
    )
    return records | "Search" >> WithTiles(part, num_trials, labels_path, room.tile, search)


@beam.ptransform_fn
def WithTiles(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    labels_path: str,
    tile: int,
    count: Callable[[str, Grouping], WithGroups],
) -> beam.PCollection[Any]:
    """Applies a DoFn to each tile of training examples of a part, with all test examples.

    Args:
      records: the records of all trials.
      part: numbers of the tiles.
      num_trials: number of trials, which is known only when the records have been checked.
      labels_path: the `labels.npz` that belongs to the records.
      tile: number of training examples in a tile.
      count: makes the DoFn from the path of the labels and the tiles; the DoFn takes the bits of a
        tile, the number of trials and the bits of all test examples.
    """
    groups = functools.partial(within, part, functools.partial(by_tile, tile))
    batches = records | "BatchTrials" >> BatchTrials()
    tests = (
        batches
        | "GatherTests" >> GatherBits(labels_path, only_tests)
        | "AllTests" >> beam.MapTuple(_listed)
    )
    return (
        batches
        | "GatherTiles" >> GatherBits(labels_path, groups)
        | "CountTile"
        >> beam.ParDo(count(labels_path, groups), num_trials, beam.pvalue.AsSingleton(tests))
    )
