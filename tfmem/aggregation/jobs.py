"""The Beam jobs: predictions to estimates, predictions to pairs, influence records to pairs.

All write to temporary folders within their outputs and move the files to their final names when
the whole job has succeeded, on whatever filesystem that is.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from tfmem.aggregation.counting import CountClasses, Room, SearchTiles, TileCounts
from tfmem.aggregation.estimates import (
    influence_record,
    memorization_table,
    pairs_table,
    parse_influence,
    selection_table,
)
from tfmem.aggregation.identities import Identity, Planned, check_identities, planned_trials
from tfmem.aggregation.launching import Output, run_job
from tfmem.aggregation.reading import ReadTrials, find_files, load_labels
from tfmem.aggregation.runners import check_file_systems, job_options
from tfmem.aggregation.writing import WriteOrdered, WriteTable
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts
from tfmem.predictions import Labels
from tfmem.records import read_records
from tfmem.selection import Candidates, in_class, settle

_EXAMPLES_A_FILE = 65_536
_CLASSES_A_FILE = 64
_ROOM = Room()


def estimate(
    predictions: str | Sequence[str],
    labels: str,
    folders: Mapping[str, str],
    selection: SelectionSettings | None = None,
    beam_args: Sequence[str] = (),
) -> dict[str, int]:
    """Estimates memorization and class-wise influence from prediction records.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      folders: where the files of `memorization` and `influence` go, and of `pairs` if there is a
        selection.
      selection: which pairs of one class; None selects none.
      beam_args: options for Beam, such as `--direct_num_workers=2`.

    Returns:
      How many records were read and written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    options = _options(beam_args, predictions, [labels, *folders.values()])
    known = load_labels(labels)
    shards = find_files(predictions, "prediction shards")
    planned = planned_trials(labels, shards)
    memorization = _memorization_output(folders, known)
    influence = Output(folders["influence"], "influence", len(known.class_names), _CLASSES_A_FILE)
    pairs = _pairs_outputs(folders["pairs"]) if selection else []

    def build(pipeline: beam.Pipeline) -> None:
        records, identities = pipeline | "ReadTrials" >> ReadTrials(shards, labels)
        checked = _checked(identities, planned)
        counts = records | "CountClasses" >> CountClasses(checked, labels)
        _ = (
            counts
            | "MemorizationTable" >> beam.Map(_train_table)
            | "WriteMemorization" >> WriteTable(memorization)
        )
        _ = (
            counts
            | "InfluenceRecord" >> beam.Map(influence_record)
            | "WriteInfluence" >> WriteOrdered(influence)
        )
        if selection:
            _select(counts, known, selection, pairs)

    return run_job(build, [memorization, influence, *pairs], options)


def search_pairs(
    predictions: str | Sequence[str],
    labels: str,
    folders: Mapping[str, str],
    selection: SelectionSettings,
    beam_args: Sequence[str] = (),
    room: Room = _ROOM,
) -> dict[str, int]:
    """Estimates memorization, and selects among all pairs of training and test examples.

    The influence of all pairs is counted, but never held: what is selected is picked out while it
    is counted.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      folders: where the files of `memorization` (left out if there is none) and `pairs` go.
      selection: which pairs.
      beam_args: options for Beam.
      room: how much is held at a time.

    Returns:
      How many records were read and written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    options = _options(beam_args, predictions, [labels, *folders.values()])
    known = load_labels(labels)
    shards = find_files(predictions, "prediction shards")
    planned = planned_trials(labels, shards)
    outputs = _pairs_outputs(folders["pairs"])
    pairs = list(outputs)
    if "memorization" in folders:
        outputs.append(_memorization_output(folders, known))

    def build(pipeline: beam.Pipeline) -> None:
        records, identities = pipeline | "ReadTrials" >> ReadTrials(shards, labels)
        checked = _checked(identities, planned)
        tiles = records | "SearchTiles" >> SearchTiles(checked, labels, room, selection)
        if "memorization" in folders:
            _ = (
                tiles
                | "MemorizationTable" >> beam.Map(_train_table)
                | "WriteMemorization" >> WriteTable(outputs[-1])
            )
        candidates = tiles | "Candidates" >> beam.Map(operator.attrgetter("candidates"))
        _settle(candidates, selection, pairs)

    return run_job(build, outputs, options)


def select_pairs(
    influence: str | Sequence[str],
    labels: str,
    folder: str,
    selection: SelectionSettings,
    beam_args: Sequence[str] = (),
) -> dict[str, int]:
    """Selects high-influence pairs of one class from influence records.

    Args:
      influence: a glob of influence files, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` of the predictions.
      folder: receives the files of pairs.
      selection: which pairs.
      beam_args: options for Beam.

    Returns:
      How many records were written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    options = _options(beam_args, influence, [labels, folder])
    known = load_labels(labels)
    files = find_files(influence, "influence files")
    outputs = _pairs_outputs(folder)

    def build(pipeline: beam.Pipeline) -> None:
        counts = (
            pipeline
            | "Files" >> beam.Create(files)
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadCounts" >> beam.FlatMap(_read_counts)
        )
        _select(counts, known, selection, outputs)

    return run_job(build, outputs, options)


def _options(
    beam_args: Sequence[str], inputs: str | Sequence[str], others: Sequence[str]
) -> PipelineOptions:
    places = [*([inputs] if isinstance(inputs, str) else inputs), *others]
    options = job_options(beam_args, places)
    check_file_systems(places)
    return options


def _memorization_output(folders: Mapping[str, str], labels: Labels) -> Output:
    count = len(labels.train_labels)
    return Output(folders["memorization"], "memorization", count, _EXAMPLES_A_FILE)


def _pairs_outputs(folder: str) -> list[Output]:
    """The pairs, in one file in order of influence; and what they were selected from."""
    return [Output(folder, kind, 1, 1) for kind in ("pairs", "selection")]


def _checked(
    identities: beam.PCollection[Identity], planned: Planned | None
) -> beam.pvalue.AsSingleton:
    """The number of trials, once all records are known to belong together."""
    return beam.pvalue.AsSingleton(
        identities
        | "CheckTrials"
        >> beam.CombineGlobally(_AsList(functools.partial(check_identities, planned=planned)))
    )


def _train_table(counts: ClassCounts | TileCounts) -> dict[str, np.ndarray]:
    return memorization_table(counts.train)


def _read_counts(path: str) -> Iterator[ClassCounts]:
    with FileSystems.open(path) as opened:
        for payload, source in read_records(opened, path):
            yield parse_influence(payload, source)


def _select(
    counts: beam.PCollection[ClassCounts],
    labels: Labels,
    selection: SelectionSettings,
    outputs: list[Output],
) -> None:
    candidates = counts | "FindCandidates" >> beam.Map(in_class, selection, labels.pairs_in_class())
    _settle(candidates, selection, outputs)


def _settle(
    candidates: beam.PCollection[Candidates], selection: SelectionSettings, outputs: list[Output]
) -> None:
    settled = candidates | "Settle" >> beam.CombineGlobally(
        _AsList(functools.partial(settle, settings=selection))
    )
    pairs, summary = outputs
    _ = settled | "PairsTable" >> beam.Map(pairs_table) | "WritePairs" >> WriteTable(pairs)
    _ = (
        settled
        | "SelectionTable" >> beam.Map(selection_table)
        | "WriteSelection" >> WriteTable(summary)
    )


class _AsList(beam.CombineFn):
    """Collects everything in one place and applies a function to it, which must not mind order."""

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
