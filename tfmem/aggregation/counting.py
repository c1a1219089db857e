"""From the bits of trials to integer counts: of a class, or of a tile and what is found in it."""

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
    """All bits of a class into its counts; `num_trials` is there once the records are checked."""

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
      group: its examples, or some of them.
      num_trials: number of trials `t`.
      masks: uint64 `[train, words]`, which trials have the example in their subset.
      train_correct: uint64 `[train, words]`, which predict it correctly.
      test_correct: uint64 `[test, words]`, likewise.
      threads: how many to count with; None is one for each core.
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
    """Records in batches, without what is not counted."""
    return (
        records
        | "OnlyBits" >> beam.MapTuple(_only_bits)
        | beam.BatchElements(min_batch_size=BATCH, max_batch_size=BATCH)
    )


def _only_bits(record: TrialRecord, source: str) -> tuple[TrialRecord, str]:
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
    """How much is held at a time; results do not depend on it.

    Attributes:
      memory: bytes that a job may take; it then reads its input as often as that needs. None is
        most of what is free, or no limit with runners that share the work among machines.
      tile: training examples whose bits are searched together.
      found: pairs that one step of a search can find.
      threads: how many a process counts with; None is one for each core in a job that this process
        runs itself, else one: other runners start a process for each core of a machine.
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
    """All bits of a tile into its counts and candidates."""

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
    """Counts, and candidates among all pairs, for each tile of training examples of a part."""
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
    """What is made of each tile of training examples of a part, beside all test examples.

    Args:
      records: of all trials.
      part: numbers of the tiles.
      num_trials: how many trials there are, once they are known to belong together.
      labels_path: the `labels.npz` that belongs to them.
      tile: training examples a tile.
      count: makes the DoFn, given the path and the tiles; it takes the bits of a tile, the number
        of trials and the bits of all test examples.
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
