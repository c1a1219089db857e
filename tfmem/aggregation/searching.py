"""All pairs of training and test examples by numbers that are no bits, in tiles."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics

from tfmem.aggregation.bits import Grouping, WithGroups, by_tile, only_tests, within
from tfmem.aggregation.counting import Room, TileCounts
from tfmem.aggregation.parts import Side
from tfmem.aggregation.summing import GatherNumbers
from tfmem.aggregation.values import bits_of
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import Measure, TrainCounts
from tfmem.estimation.products import Products
from tfmem.estimation.sums import Batch, Scales, TrainSums, new_trials, numbers, unpacked
from tfmem.selection.finding import in_all_classes
from tfmem.store.predictions import TrialRecord


def tile_of(measure: Measure, tile: int) -> int:
    """How many training examples have as many bits as `tile` have by correctness."""
    return max(1, tile // bits_of(measure))


class Tile(NamedTuple):
    """A tile of training examples beside all test examples.

    Attributes:
      train: sums over trials for the training examples.
      masks: uint8 `[train, trials]`, 1 where a trial has the example in its subset.
      products: the numbers of the test examples, of the same trials in the same order.
    """

    train: TrainCounts
    masks: np.ndarray
    products: Products


class WithTile(WithGroups):
    """A DoFn that is given a tile of training examples, and all test examples."""

    def __init__(self, labels_path: str, groups: Grouping, measure: Measure) -> None:
        super().__init__(labels_path, groups)
        self._measure = measure

    def tile(
        self,
        element: tuple[int, Iterable[Batch]],
        num_trials: int,
        test_batches: Iterable[Batch],
        scales: Scales | None,
    ) -> Tile:
        """The tile, of each trial once."""
        number, batches = element
        index, every = self._groups[number].train, only_tests(self._labels)[0].test
        sums, ids, masks = TrainSums(len(index)), np.zeros(0, np.int64), []
        for batch in batches:
            first = new_trials(batch, ids)
            ids = np.concatenate([ids, batch.trial_ids[first]])
            rows = unpacked(batch.masks, first)
            sums.add(rows, numbers(batch.train, first))
            masks.append(rows.astype(np.uint8))
        order = np.argsort(ids)
        test_ids, z = np.zeros(0, np.int64), np.empty((len(ids), len(every)))
        for batch in test_batches:
            first = new_trials(batch, test_ids)
            test_ids = np.concatenate([test_ids, batch.trial_ids[first]])
            places = np.searchsorted(ids[order], batch.trial_ids[first])
            z[places] = numbers(batch.test, first)
        of_tile = scales and scales.take(index, every)
        train = sums.counts(
            num_trials,
            index,
            self._labels.train_labels[index],
            of_tile and of_tile.train,
            self._measure,
        )
        products = Products(z, of_tile and of_tile.test)
        return Tile(train, np.concatenate(masks, axis=1)[:, order], products)


class _SearchTile(WithTile):
    """All numbers of a tile into its sums and candidates."""

    def __init__(
        self,
        labels_path: str,
        groups: Grouping,
        measure: Measure,
        capacity: int,
        settings: SelectionSettings,
    ) -> None:
        super().__init__(labels_path, groups, measure)
        self._capacity = capacity
        self._settings = settings
        self._searched = Metrics.counter("tfmem", "tiles_searched")

    def process(
        self,
        element: tuple[int, Iterable[Batch]],
        num_trials: int,
        test_batches: Iterable[Batch],
        scales: Scales | None = None,
    ) -> Iterator[TileCounts]:
        tile = self.tile(element, num_trials, test_batches, scales)
        search = functools.partial(tile.products.search, capacity=self._capacity)
        tests = tile.products.tests(self._labels.test_labels)
        possible = len(self._labels.train_labels) * len(self._labels.test_labels)
        found = in_all_classes(tile.train, tile.masks, tests, search, self._settings, possible)
        self._searched.inc()
        yield TileCounts(tile.train, found)


def _listed(_: int, batches: Iterable[Batch]) -> list[Batch]:
    return list(batches)


@beam.ptransform_fn
def SearchNumbers(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    scales: Side,
    labels_path: str,
    room: Room,
    settings: SelectionSettings,
    measure: Measure,
) -> beam.PCollection[TileCounts]:
    """Sums, and candidates among all pairs, for each tile of training examples of a part."""
    search = functools.partial(_SearchTile, measure=measure, capacity=room.found, settings=settings)
    tiles = WithNumbers(part, num_trials, scales, labels_path, room.tile, measure, search)
    return records | "Search" >> tiles


@beam.ptransform_fn
def WithNumbers(
    records: beam.PCollection[tuple[TrialRecord, str]],
    part: range,
    num_trials: beam.pvalue.AsSingleton,
    scales: Side,
    labels_path: str,
    tile: int,
    measure: Measure,
    count: Callable[[str, Grouping], WithGroups],
) -> beam.PCollection[Any]:
    """What is made of each tile of training examples of a part, beside all test examples.

    Args:
      records: of all trials.
      part: numbers of the tiles.
      num_trials: how many trials there are, once they are known to belong together.
      scales: those of all examples, if the measure has scales.
      labels_path: the `labels.npz` that belongs to them.
      tile: training examples a tile.
      measure: what means are taken of.
      count: makes the DoFn, given the path and the tiles; it takes the numbers of a tile, the
        number of trials, the numbers of all test examples, and the scales.
    """
    groups = functools.partial(within, part, functools.partial(by_tile, tile))
    tests = (
        records
        | "GatherTests" >> GatherNumbers(labels_path, only_tests, measure, scales)
        | "AllTests" >> beam.MapTuple(_listed)
    )
    return (
        records
        | "GatherTiles" >> GatherNumbers(labels_path, groups, measure, scales)
        | "CountTile"
        >> beam.ParDo(
            count(labels_path, groups), num_trials, beam.pvalue.AsSingleton(tests), *scales
        )
    )
