"""The two Beam jobs: predictions to estimates, and influence blocks to pairs.

Both write to temporary folders within their outputs and move the files to their final names when
the whole job has succeeded, on whatever filesystem that is.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from tfmem.aggregation.counting import CountClasses
from tfmem.aggregation.estimates import (
    influence_examples,
    memorization_examples,
    pair_examples,
    parse_influence,
)
from tfmem.aggregation.reading import ReadTrials, check_identities, identify, load_labels
from tfmem.aggregation.writing import WriteOrdered
from tfmem.config import SelectionSettings
from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts
from tfmem.pairs import concatenate, select
from tfmem.records import read_records

_EXAMPLES_A_FILE = 65_536
_CLASSES_A_FILE = 64
_PAIRS_A_FILE = 1 << 62  # all of them, so that the file is in order of influence


def estimate(
    predictions: str,
    labels: str,
    folders: Mapping[str, str],
    selection: SelectionSettings | None = None,
    beam_args: Sequence[str] = (),
) -> None:
    """Estimates memorization and class-wise influence from prediction records.

    Args:
      predictions: a path or glob of prediction shards, on any Beam filesystem.
      labels: path of the `labels.npz` that belongs to them.
      folders: where the files of `memorization` and `influence` go, and of `pairs` if there is a
        selection.
      selection: thresholds of the pairs; None selects none.
      beam_args: options for Beam, such as `--runner=DataflowRunner`.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    known = load_labels(labels)
    if not any(match.metadata_list for match in FileSystems.match([predictions])):
        raise InputError(f"{predictions}: no such prediction shards")

    def build(pipeline: beam.Pipeline, temporary: Mapping[str, str]) -> None:
        records = pipeline | "ReadTrials" >> ReadTrials(predictions, labels)
        num_trials = (
            records
            | "Identify" >> beam.Map(identify)
            | "CheckTrials" >> beam.CombineGlobally(_AsList(check_identities))
        )
        counts = records | "CountClasses" >> CountClasses(
            beam.pvalue.AsSingleton(num_trials), labels
        )
        _ = (
            counts
            | "MemorizationRecords" >> beam.Map(memorization_examples)
            | "WriteMemorization"
            >> WriteOrdered(
                temporary["memorization"],
                "memorization",
                len(known.train_labels),
                _EXAMPLES_A_FILE,
            )
        )
        _ = (
            counts
            | "InfluenceRecords" >> beam.Map(influence_examples)
            | "WriteInfluence"
            >> WriteOrdered(
                temporary["influence"], "influence", len(known.class_names), _CLASSES_A_FILE
            )
        )
        if selection:
            _write_pairs(counts, selection, temporary["pairs"])

    _run(build, folders, beam_args)


def select_pairs(
    influence: str, folder: str, selection: SelectionSettings, beam_args: Sequence[str] = ()
) -> None:
    """Selects high-influence pairs from influence records.

    Args:
      influence: a path or glob of influence files, on any Beam filesystem.
      folder: receives the files of pairs.
      selection: the thresholds.
      beam_args: options for Beam.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    if not any(match.metadata_list for match in FileSystems.match([influence])):
        raise InputError(f"{influence}: no such influence files")

    def build(pipeline: beam.Pipeline, temporary: Mapping[str, str]) -> None:
        counts = (
            pipeline
            | "MatchFiles" >> fileio.MatchFiles(influence)
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadCounts" >> beam.FlatMap(_read_counts)
        )
        _write_pairs(counts, selection, temporary["pairs"])

    _run(build, {"pairs": folder}, beam_args)


def _read_counts(file: Any) -> Iterator[ClassCounts]:
    with FileSystems.open(file.path) as opened:
        for number, payload in enumerate(read_records(opened, file.path)):
            yield parse_influence(payload, f"{file.path}: record {number}")[0]


def _write_pairs(
    counts: beam.PCollection[ClassCounts], selection: SelectionSettings, folder: str
) -> None:
    _ = (
        counts
        | "SelectPairs" >> beam.Map(select, selection)
        | "OrderPairs" >> beam.CombineGlobally(_AsList(concatenate))
        | "PairRecords" >> beam.Map(pair_examples)
        | "WritePairs" >> WriteOrdered(folder, "pairs", 1, _PAIRS_A_FILE)
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


def beam_options(beam_args: Sequence[str]) -> PipelineOptions:
    """Options of a Beam job; the runner is the in-process one unless another is named.

    `DirectRunner` is not the default because it first tries to download another runner.

    Raises:
      InputError: if the options name a way of running that is known to lose data.
    """
    given = " ".join(beam_args)
    if "multi_threading" in given:
        raise InputError(
            "--direct_running_mode=multi_threading loses elements without notice (a writer and a "
            "timer share a buffer without a lock): use in_memory or multi_processing"
        )
    if "DaskRunner" in given:
        raise InputError("--runner=DaskRunner loses elements without notice: use another runner")
    named = "--runner" in given
    return PipelineOptions([*([] if named else ["--runner=FnApiRunner"]), *beam_args])


def _run(
    build: Callable[[beam.Pipeline, Mapping[str, str]], None],
    folders: Mapping[str, str],
    beam_args: Sequence[str],
) -> None:
    options = beam_options(beam_args)
    unfinished = f".unfinished-{uuid.uuid4().hex}"
    temporary = {kind: FileSystems.join(folder, unfinished) for kind, folder in folders.items()}
    try:
        for place in temporary.values():
            FileSystems.mkdirs(place)
        try:
            with beam.Pipeline(options=options) as pipeline:
                build(pipeline, temporary)
        except Exception as error:
            raise _cause(error) from error
        for kind, place in temporary.items():
            _publish(place, folders[kind])
    finally:
        FileSystems.delete([place for place in temporary.values() if FileSystems.exists(place)])


def _cause(error: Exception) -> Exception:
    """The `InputError` that a worker raised, which Beam wraps with its own words."""
    if isinstance(error, InputError):
        return error
    found = re.search(r"InputError: (.*?)(?: \[while running|\n|$)", str(error))
    return InputError(found[1]) if found else error


def _publish(source: str, target: str) -> None:
    """Moves the files of a finished job to their final names and removes those of an older one."""
    new = [m.path for m in FileSystems.match([f"{source}/*"])[0].metadata_list]
    final = [FileSystems.join(target, FileSystems.split(path)[1]) for path in new]
    old = [m.path for m in FileSystems.match([f"{target}/*.tfrecord"])[0].metadata_list]
    FileSystems.rename(new, final)
    if stale := sorted(set(old) - set(final)):
        logging.getLogger(__name__).info("removing %d files of an older job", len(stale))
        FileSystems.delete(stale)
