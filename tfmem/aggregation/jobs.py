"""The Beam jobs: predictions to estimates, predictions to pairs, influence records to pairs.

Each job writes to folders of its own within its output folders. When the whole job has succeeded,
all files become valid at once (see `tfmem.store.publishing`), on any filesystem.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from tfmem.aggregation.counting import CountClasses, Room, SearchTiles, TileCounts
from tfmem.aggregation.estimates import (
    influence_record,
    measure_in,
    memorization_table,
    pairs_table,
    parse_influence,
    selection_table,
)
from tfmem.aggregation.identities import made_from
from tfmem.aggregation.launching import Output, run_job, unfinished_name
from tfmem.aggregation.memory import free_memory
from tfmem.aggregation.parts import (
    Collect,
    Side,
    find_source,
    from_parts,
    in_parts,
    parts_of_classes,
    parts_of_tiles,
)
from tfmem.aggregation.reading import load_labels, matching_files
from tfmem.aggregation.runners import check_file_systems, job_options, kernel_threads
from tfmem.aggregation.searching import SearchNumbers, tile_of
from tfmem.aggregation.summing import SumClasses
from tfmem.aggregation.writing import WriteOrdered, WriteTable
from tfmem.config import SelectionSettings, Statistic
from tfmem.estimation.estimator import ClassCounts, Measure
from tfmem.messages.errors import InputError
from tfmem.selection.candidates import Candidates
from tfmem.selection.finding import in_class
from tfmem.selection.settling import choose_pairs
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import decode_example
from tfmem.store.sets import Found, check_together, read_counted, read_manifest
from tfmem.store.sets import find_files as find_set

_EXAMPLES_A_FILE = 65_536
_CLASSES_A_FILE = 64
_ROOM = Room()


def estimate(
    predictions: str | Sequence[str],
    labels: str,
    folders: Mapping[str, str],
    selection: SelectionSettings | None = None,
    beam_args: Sequence[str] = (),
    statistic: Statistic | None = None,
    room: Room = _ROOM,
) -> dict[str, int]:
    """Estimates memorization and class-wise influence from prediction records.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      folders: folders for the files of `memorization` and `influence`, and of `pairs` if there is a
        selection.
      selection: settings that say which pairs of one class are selected; None selects no pairs.
      beam_args: options for Beam, such as `--direct_num_workers=2`.
      statistic: the quantity whose means are compared, which all records must hold; None is `score`
        if they hold one, and `correctness` otherwise.
      room: limits of memory and threads.

    Returns:
      The numbers of records read and written.

    Raises:
      InputError: if there is nothing to read, naming the file and record that cannot be used, or if
        there is not enough room.
    """
    options = _options(beam_args, predictions, [labels, *folders.values()])
    source, known = find_source(predictions, labels, statistic)
    made, selection = made_from(known, source.measure), _resolved(selection, source.measure)
    memorization = _memorization_output(folders, known, made)
    influence = Output(
        folders["influence"],
        "influence",
        len(known.class_names),
        _CLASSES_A_FILE,
        made_from=made,
    )
    pairs = _pairs_outputs(folders["pairs"], selection, made) if selection else []
    threads = kernel_threads(room.threads, options)
    parts = parts_of_classes(
        source.shards,
        known,
        source.measure,
        influence.per_file,
        room.memory or free_memory(options),
    )

    def build(pipeline: beam.Pipeline) -> None:
        count = functools.partial(
            _ClassesOfFiles,
            labels_path=labels,
            influence=influence,
            measure=source.measure,
            threads=threads,
        )
        counts = in_parts(pipeline, source, parts, count, memorization.note)
        tables = from_parts(counts, "MemorizationTable", _train_table)
        _ = tables | "WriteMemorization" >> WriteTable(memorization)
        if selection:
            find = functools.partial(in_class, settings=selection, possible=known.pairs_in_class())
            _settle(from_parts(counts, "FindCandidates", find), selection, pairs)

    return run_job(build, [memorization, influence, *pairs], options, ["trials"])


def search_pairs(
    predictions: str | Sequence[str],
    labels: str,
    folders: Mapping[str, str],
    selection: SelectionSettings,
    beam_args: Sequence[str] = (),
    statistic: Statistic | None = None,
    room: Room = _ROOM,
) -> dict[str, int]:
    """Estimates memorization, and selects among all pairs of training and test examples.

    The influence of all pairs is counted but never stored: the job selects pairs while it counts.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      folders: folders for the files of `memorization`, which is optional, and of `pairs`.
      selection: settings that say which pairs are selected.
      beam_args: options for Beam.
      statistic: as for `estimate`.
      room: how much is held at a time.

    Returns:
      How many records were read and written.

    Raises:
      InputError: if there is nothing to read, naming the file and record that cannot be used, or if
        there is not enough room.
    """
    options = _options(beam_args, predictions, [labels, *folders.values()])
    source, known = find_source(predictions, labels, statistic)
    measure = source.measure
    made, selection = made_from(known, measure), selection.resolved(measure.statistic)
    pairs = _pairs_outputs(folders["pairs"], selection, made)
    outputs = list(pairs)
    if "memorization" in folders:
        outputs.append(_memorization_output(folders, known, made))
    tile = tile_of(measure, room.tile)
    room = room._replace(threads=kernel_threads(room.threads, options), tile=tile)
    parts = parts_of_tiles(
        source.shards, known, measure, tile, room.found, room.memory or free_memory(options)
    )

    def build(pipeline: beam.Pipeline) -> None:
        search = functools.partial(
            _SearchTilesOf, labels_path=labels, room=room, settings=selection, measure=measure
        )
        tiles = in_parts(pipeline, source, parts, search, outputs[0].note)
        if "memorization" in folders:
            tables = from_parts(tiles, "MemorizationTable", _train_table)
            _ = tables | "WriteMemorization" >> WriteTable(outputs[-1])
        candidates = from_parts(tiles, "Candidates", operator.attrgetter("candidates"))
        _settle(candidates, selection, pairs)

    return run_job(build, outputs, options, ["trials"])


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
      selection: settings that say which pairs are selected.
      beam_args: options for Beam.

    Returns:
      How many records were written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    options = _options(beam_args, influence, [labels, folder])
    known = load_labels(labels)
    files = _in_sets(matching_files(influence, "influence files"))
    selection = selection.resolved(_measure(files).statistic)
    outputs = _pairs_outputs(folder, selection, _origin(files))

    def build(pipeline: beam.Pipeline) -> None:
        counts = (
            pipeline
            | "Files" >> beam.Create(files, reshuffle=False)
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadCounts" >> beam.FlatMap(_read_counts)
        )
        find = functools.partial(in_class, settings=selection, possible=known.pairs_in_class())
        _settle(counts | "FindCandidates" >> beam.Map(find), selection, outputs)

    return run_job(build, outputs, options)


def _options(
    beam_args: Sequence[str], inputs: str | Sequence[str], others: Sequence[str]
) -> PipelineOptions:
    places = [*([inputs] if isinstance(inputs, str) else inputs), *others]
    options = job_options(beam_args, places)
    check_file_systems(places)
    return options


def _resolved(selection: SelectionSettings | None, measure: Measure) -> SelectionSettings | None:
    return selection and selection.resolved(measure.statistic)


def _memorization_output(
    folders: Mapping[str, str], labels: Labels, made: Mapping[str, Any]
) -> Output:
    count, folder = len(labels.train_labels), folders["memorization"]
    return Output(folder, "memorization", count, _EXAMPLES_A_FILE, made_from=made)


def _pairs_outputs(
    folder: str, selection: SelectionSettings, made: Mapping[str, Any]
) -> list[Output]:
    """Makes the outputs of a selection: one file of pairs, and one with its numbers."""
    made, work = {**made, "selection": selection.model_dump(mode="json")}, unfinished_name()
    return [Output(folder, kind, 1, 1, work, made) for kind in ("pairs", "selection")]


def _in_sets(paths: Sequence[str]) -> list[Found]:
    """Finds files of influence, with the facts that the manifests in their folders state."""
    split = [FileSystems.split(path) for path in paths]
    folders = sorted({folder for folder, _ in split})
    valid = {folder: {f.name: f for f in find_set(folder, "influence")} for folder in folders}
    for folder, name in split:
        if read_manifest(folder) and name not in valid[folder]:
            raise InputError(f"{folder}: its manifest names no file {name}")
    return [valid[folder].get(name) or Found(folder, name) for folder, name in split]


def _measure(files: Sequence[Found]) -> Measure:
    """What means were taken of, as the first record in files of influence says."""
    for file in files:
        with file.open() as opened:
            for payload, source in read_counted(opened, file):
                return measure_in(decode_example(payload, source), source)
    return Measure()


def _origin(files: Sequence[Found]) -> dict[str, Any]:
    """Returns from what files of influence were made, as far as that is known.

    Raises:
      InputError: if the files are from different estimations.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for folder in sorted({file.folder for file in files}):
        if manifest := read_manifest(folder):
            known[folder] = manifest.made_from
            check_together((folder, manifest.made_from), next(iter(known.items())))
    return dict(next(iter(known.values()), {}))


@beam.ptransform_fn
def _ClassesOfFiles(
    records: beam.PCollection[tuple[TrialRecord, str]],
    files: range,
    num_trials: beam.pvalue.AsSingleton,
    scales: Side,
    labels_path: str,
    influence: Output,
    measure: Measure,
    threads: int | None,
) -> beam.PCollection[ClassCounts]:
    """Counts trials for the classes of some influence files, and writes these files."""
    classes = range(files.start * influence.per_file, files.stop * influence.per_file)
    if measure.counted:
        count = CountClasses(classes, num_trials, labels_path, threads)
    else:
        count = SumClasses(classes, num_trials, labels_path, measure, scales)
    counts = records | "CountClasses" >> count
    _ = (
        counts
        | "InfluenceRecord" >> beam.Map(influence_record)
        | "WriteInfluence" >> WriteOrdered(influence, files)
    )
    return counts


@beam.ptransform_fn
def _SearchTilesOf(
    records: beam.PCollection[tuple[TrialRecord, str]],
    tiles: range,
    num_trials: beam.pvalue.AsSingleton,
    scales: Side,
    labels_path: str,
    room: Room,
    settings: SelectionSettings,
    measure: Measure,
) -> beam.PCollection[TileCounts]:
    """Counts, and candidates among all pairs, for some tiles of training examples."""
    if measure.counted:
        search = SearchTiles(tiles, num_trials, labels_path, room, settings)
    else:
        search = SearchNumbers(tiles, num_trials, scales, labels_path, room, settings, measure)
    return records | "SearchTiles" >> search


def _train_table(counts: ClassCounts | TileCounts) -> dict[str, np.ndarray]:
    return memorization_table(counts.train)


def _read_counts(file: Found) -> Iterator[ClassCounts]:
    with file.open() as opened:
        for payload, source in read_counted(opened, file):
            yield parse_influence(payload, source)


def _settle(
    candidates: beam.PCollection[Candidates], selection: SelectionSettings, outputs: list[Output]
) -> None:
    settled = candidates | "Settle" >> Collect(functools.partial(choose_pairs, settings=selection))
    pairs, summary = outputs
    _ = settled | "PairsTable" >> beam.Map(pairs_table) | "WritePairs" >> WriteTable(pairs)
    _ = (
        settled
        | "SelectionTable" >> beam.Map(selection_table)
        | "WriteSelection" >> WriteTable(summary)
    )
