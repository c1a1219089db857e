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
from tfmem.aggregation.repeats import MeansOfSubsets
from tfmem.aggregation.values import SCALED, FindScales, bits_of, measure_of
from tfmem.config import Statistic
from tfmem.estimation.estimator import Measure
from tfmem.store.labels import Labels

# Bytes of a pair of one class: its influence with its count, or with two sums.
_PAIR, _PAIR_OF_SUMS = 8, 20
# Bytes of a pair of the class, or of the step of a tile, that is being estimated.
_WORKING, _WORKING_ON_SUMS = 40, 120
_WITHOUT_BLOCKS = (
    "; `tfmem estimate SHARDS --labels FILE --out DIR --pairs all` selects pairs without holding "
    "the influence of a class"
)


def parts_of_classes(
    shards: Sequence[str], labels: Labels, measure: Measure, per_file: int, memory: int | None
) -> list[range]:
    """Numbers of influence files that are counted together.

    Args:
      shards: paths of all predictions.
      labels: those that belong to them.
      measure: what means are taken of.
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
    bits = bits_of(measure)
    pair, working = (_PAIR, _WORKING) if bits == 1 else (_PAIR_OF_SUMS, _WORKING_ON_SUMS)
    held = row * ((1 + bits) * train + bits * test) + pair * train * test
    files = np.add.reduceat(held, range(0, classes, per_file))
    working *= int((train * test).max())
    return divide(files.tolist(), bits * _batch_bytes(labels), working, memory, _WITHOUT_BLOCKS)


def parts_of_tiles(
    shards: Sequence[str],
    labels: Labels,
    measure: Measure,
    tile: int,
    pairs: int,
    memory: int | None,
) -> list[range]:
    """Numbers of tiles of training examples that are gathered together.

    Args:
      shards: paths of all predictions.
      labels: those that belong to them.
      measure: what means are taken of.
      tile: training examples in a tile.
      pairs: how many are found, or estimated, at a time.
      memory: bytes that the job may take; None is no limit.

    Raises:
      InputError: if there is not enough memory for one tile.
    """
    row = row_bytes(shards) if memory else 0
    train, test = len(labels.train_labels), len(labels.test_labels)
    bits = bits_of(measure)
    held = [(1 + bits) * row * min(tile, train - start) for start in range(0, train, tile)]
    # All test examples are there as they were gathered and, if they are no bits, as float64.
    tests = row * test * (1 if bits == 1 else bits + 64)
    working = _WORKING if bits == 1 else _WORKING_ON_SUMS
    return divide(held, bits * _batch_bytes(labels), tests + working * pairs, memory)


def _batch_bytes(labels: Labels) -> int:
    return BATCH * (2 * len(labels.train_labels) + len(labels.test_labels)) // 8


class Source(NamedTuple):
    """The inputs of a job.

    Attributes:
      shards: paths of all predictions.
      labels: path of the `labels.npz` that belongs to them.
      planned: the trials that must exist, if they are known.
      measure: what means are taken of.
    """

    shards: Sequence[str]
    labels: str
    planned: Planned | None
    measure: Measure


def find_source(
    predictions: str | Sequence[str], labels: str, statistic: Statistic | None
) -> tuple[Source, Labels]:
    """Finds the inputs of a job, and reads the labels that belong to them.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      statistic: the setting; None leaves it to the records (see `values.measure_of`).

    Raises:
      InputError: if there is nothing to read.
    """
    known = load_labels(labels)
    shards = matching_files(predictions, "prediction shards")
    planned = planned_trials(labels, shards)
    models = planned.repeats if planned else 1
    measure = measure_of(shards, statistic)._replace(models=models)
    return Source(shards, labels, planned, measure), known


Side = Sequence[beam.pvalue.AsSingleton]
Count = Callable[[range, beam.pvalue.AsSingleton, Side], "beam.PTransform[Any, Any]"]


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
      count: makes the step from records to counts, given the part; the number of trials, or of
        subsets if several models were trained on each, which is there once all records are known
        to belong together; and the scales of all examples, if the measure has scales, which takes
        a reading of all trials before the others.
      note: is told which `trials` these are.

    Returns:
      The counts of each part.
    """
    found: list[beam.PCollection[Any]] = []
    after: list[beam.pvalue.AsIter] = []
    scales: list[beam.pvalue.AsSingleton] = []
    if source.measure.statistic in SCALED:
        read = ReadTrials(source.shards, source.labels)
        records, identities = pipeline | "ReadToScale" >> read
        records = records | "MeansToScale" >> MeansOfSubsets(source.measure)
        of_all = records | "FindScales" >> FindScales(source.measure)
        scales = [beam.pvalue.AsSingleton(of_all)]
        after = [beam.pvalue.AsIter(of_all | "Scaled" >> beam.Map(_nothing))]
    for number, part in enumerate(parts):
        read = ReadTrials(source.shards, source.labels, after)
        records, read_again = pipeline | f"ReadTrials{number}" >> read
        if not found:
            known = identities if scales else read_again
            num_trials = _checked(known, source.planned, note)
        records = records | f"Means{number}" >> MeansOfSubsets(source.measure)
        found.append(records | f"Part{number}" >> count(part, num_trials, scales))
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
    """The number of trials that count, once all records are known to belong together."""
    check = functools.partial(check_identities, planned=planned)
    checked = identities | "CheckTrials" >> Collect(check)
    if note:
        _ = checked | "NoteTrials" >> beam.Map(_note, note)
    return beam.pvalue.AsSingleton(checked | "NumTrials" >> beam.Map(_trials))


def _note(checked: Checked, note: Note) -> None:
    note("trials", checked.facts)


def _trials(checked: Checked) -> int:
    return checked.subsets


@beam.ptransform_fn
def Collect(
    elements: beam.PCollection[Any], function: Callable[[Iterable[Any]], Any]
) -> beam.PCollection[Any]:
    """Applies a function to all elements at once, which must not mind their order."""
    once = elements.pipeline | "Once" >> beam.Impulse()
    return once | "Collect" >> beam.Map(_applied, function, beam.pvalue.AsIter(elements))


def _applied(_: bytes, function: Callable[[Iterable[Any]], Any], elements: Iterable[Any]) -> Any:
    return function(elements)
