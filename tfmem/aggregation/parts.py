"""Runs a job in parts, one after the other, so that each part fits in memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import apache_beam as beam
import numpy as np

from tfmem.aggregation.bits import BATCH
from tfmem.aggregation.identities import (
    Checked,
    Identity,
    Planned,
    check_identities,
    planned_trials,
)
from tfmem.aggregation.memory import divide, row_bytes
from tfmem.aggregation.reading import ReadTrials, load_labels, matching_files
from tfmem.config import Statistic
from tfmem.store.labels import Labels

_PAIR = 8  # bytes of a pair of one class: its influence and its count
_WORKING = 40  # bytes a pair of the class or of the step of a tile that is being estimated


def parts_of_classes(
    shards: Sequence[str],
    labels: Labels,
    statistic: Statistic,
    per_file: int,
    memory: int | None,
) -> list[range]:
    """Numbers of influence files that are counted together.

    Args:
      shards: paths of all predictions.
      labels: those that belong to them.
      statistic: probabilities take 16 bits each.
      per_file: classes a file.
      memory: bytes that the job may take; None is no limit.

    Raises:
      InputError: if there is not enough memory for one file.
    """
    classes = len(labels.class_names)
    train, test = (
        np.bincount(x, minlength=classes) for x in (labels.train_labels, labels.test_labels)
    )
    row = row_bytes(shards) if memory else 0
    bits = 16 if statistic == "probability" else 1
    held = row * ((1 + bits) * train + bits * test) + _PAIR * train * test
    files = np.add.reduceat(held, range(0, classes, per_file))
    working = _WORKING * int((train * test).max())
    return divide(files.tolist(), bits * _batch_bytes(labels), working, memory)


def parts_of_tiles(
    shards: Sequence[str], labels: Labels, tile: int, pairs: int, memory: int | None
) -> list[range]:
    """Numbers of tiles of training examples whose bits are gathered together.

    Args:
      shards: paths of all predictions.
      labels: those that belong to them.
      tile: see `Room`.
      pairs: how many are found, or estimated, at a time.
      memory: bytes that the job may take; None is no limit.

    Raises:
      InputError: if there is not enough memory for one tile.
    """
    row = row_bytes(shards) if memory else 0
    train, test = len(labels.train_labels), len(labels.test_labels)
    held = [2 * row * min(tile, train - start) for start in range(0, train, tile)]
    return divide(held, _batch_bytes(labels), row * test + _WORKING * pairs, memory)


def _batch_bytes(labels: Labels) -> int:
    return BATCH * (2 * len(labels.train_labels) + len(labels.test_labels)) // 8


class Source(NamedTuple):
    """The inputs of a job.

    Attributes:
      shards: paths of all predictions.
      labels: path of the `labels.npz` that belongs to them.
      planned: the trials that must exist, if they are known.
    """

    shards: Sequence[str]
    labels: str
    planned: Planned | None


def find_source(predictions: str | Sequence[str], labels: str) -> tuple[Source, Labels]:
    """Finds the inputs of a job, and reads the labels that belong to them.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.

    Raises:
      InputError: if there is nothing to read.
    """
    known = load_labels(labels)
    shards = matching_files(predictions, "prediction shards")
    return Source(shards, labels, planned_trials(labels, shards)), known


Count = Callable[[range, beam.pvalue.AsSingleton], "beam.PTransform[Any, Any]"]


Note = Callable[[str, Mapping[str, Any]], None]


def in_parts(
    pipeline: beam.Pipeline,
    source: Source,
    parts: Sequence[range],
    count: Count,
    note: Note | None = None,
) -> list[beam.PCollection[Any]]:
    """Reads the trials anew for each part, and begins a part after the one before is counted.

    Args:
      pipeline: receives the steps.
      source: the inputs.
      parts: the units of each part, which are counted together.
      count: makes the step from records to counts, given the part and the number of trials, which
        is there once all records are known to belong together.
      note: is told which `trials` these are.

    Returns:
      The counts of each part.
    """
    found: list[beam.PCollection[Any]] = []
    after: list[beam.pvalue.AsIter] = []
    for number, part in enumerate(parts):
        read = ReadTrials(source.shards, source.labels, after)
        records, identities = pipeline | f"ReadTrials{number}" >> read
        if not found:
            num_trials = _checked(identities, source.planned, note)
        found.append(records | f"Part{number}" >> count(part, num_trials))
        after = [beam.pvalue.AsIter(found[-1] | f"Done{number}" >> beam.Map(_nothing))]
    return found


def _nothing(_: Any) -> None:
    """Drops counts that the next part only waits for."""


def from_parts(
    parts: Sequence[beam.PCollection[Any]], label: str, function: Callable[[Any], Any]
) -> beam.PCollection[Any]:
    """Applies a function to the counts of every part, of which nothing else is then kept."""
    mapped = [part | f"{label}{number}" >> beam.Map(function) for number, part in enumerate(parts)]
    return mapped | f"All{label}" >> beam.Flatten()


def _checked(
    identities: beam.PCollection[Identity], planned: Planned | None, note: Note | None
) -> beam.pvalue.AsSingleton:
    """The number of trials, once all records are known to belong together."""
    check = functools.partial(check_identities, planned=planned)
    checked = identities | "CheckTrials" >> Collect(check)
    if note:
        _ = checked | "NoteTrials" >> beam.Map(_note, note)
    return beam.pvalue.AsSingleton(checked | "NumTrials" >> beam.Map(_trials))


def _note(checked: Checked, note: Note) -> None:
    note("trials", checked._asdict())


def _trials(checked: Checked) -> int:
    return checked.trials


@beam.ptransform_fn
def Collect(
    elements: beam.PCollection[Any], function: Callable[[Iterable[Any]], Any]
) -> beam.PCollection[Any]:
    """Applies a function to all elements at once, which must not mind their order."""
    return elements | "Collect" >> beam.CombineGlobally(_AsList(function))


class _AsList(beam.CombineFn):
    """Collects all elements in one place, and applies a function to them."""

    def __init__(self, function: Callable[[Iterable[Any]], Any]) -> None:
        self._function = function

    def create_accumulator(self) -> list[Any]:
        return []

    def add_input(self, accumulator: list[Any], element: Any) -> list[Any]:
        accumulator.append(element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[list[Any]]) -> list[Any]:
        return [element for accumulator in accumulators for element in accumulator]

    def extract_output(self, accumulator: list[Any]) -> Any:
        return self._function(accumulator)
