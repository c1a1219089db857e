"""The two Beam jobs: predictions to estimates, and influence records to pairs.

Both write to temporary folders within their outputs and move the files to their final names when
the whole job has succeeded, on whatever filesystem that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystems import FileSystems

from tfmem.aggregation.counting import CountClasses
from tfmem.aggregation.estimates import (
    influence_examples,
    memorization_examples,
    pair_examples,
    parse_influence,
)
from tfmem.aggregation.launching import Output, run_job
from tfmem.aggregation.reading import (
    ReadTrials,
    check_identities,
    find_files,
    identify,
    load_labels,
)
from tfmem.aggregation.writing import WriteOrdered
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts
from tfmem.pairs import concatenate, select
from tfmem.records import read_records

_EXAMPLES_A_FILE = 65_536
_CLASSES_A_FILE = 64
_ALL_IN_ONE = 1 << 62  # pairs a file: the file is in order of influence


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
      selection: thresholds of the pairs; None selects none.
      beam_args: options for Beam, such as `--direct_num_workers=2`.

    Returns:
      How many records were read and written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    known = load_labels(labels)
    shards = find_files(predictions, "prediction shards")
    outputs = {
        "memorization": Output(
            folders["memorization"], "memorization", len(known.train_labels), _EXAMPLES_A_FILE
        ),
        "influence": Output(
            folders["influence"], "influence", len(known.class_names), _CLASSES_A_FILE
        ),
    }
    if selection:
        outputs["pairs"] = _pairs_output(folders["pairs"])

    def build(pipeline: beam.Pipeline) -> None:
        records = pipeline | "ReadTrials" >> ReadTrials(shards, labels)
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
            | "WriteMemorization" >> WriteOrdered(outputs["memorization"])
        )
        _ = (
            counts
            | "InfluenceRecords" >> beam.Map(influence_examples)
            | "WriteInfluence" >> WriteOrdered(outputs["influence"])
        )
        if selection:
            _write_pairs(counts, selection, outputs["pairs"])

    return run_job(build, list(outputs.values()), beam_args)


def select_pairs(
    influence: str | Sequence[str],
    folder: str,
    selection: SelectionSettings,
    beam_args: Sequence[str] = (),
) -> dict[str, int]:
    """Selects high-influence pairs from influence records.

    Args:
      influence: a glob of influence files, on any Beam filesystem, or their paths.
      folder: receives the files of pairs.
      selection: the thresholds.
      beam_args: options for Beam.

    Returns:
      How many records were written.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    files = find_files(influence, "influence files")
    output = _pairs_output(folder)

    def build(pipeline: beam.Pipeline) -> None:
        counts = (
            pipeline
            | "Files" >> beam.Create(files)
            | "SpreadFiles" >> beam.Reshuffle()
            | "ReadCounts" >> beam.FlatMap(_read_counts)
        )
        _write_pairs(counts, selection, output)

    return run_job(build, [output], beam_args)


def _pairs_output(folder: str) -> Output:
    return Output(folder, "pairs", 1, _ALL_IN_ONE)


def _read_counts(path: str) -> Iterator[ClassCounts]:
    with FileSystems.open(path) as opened:
        for payload, source in read_records(opened, path):
            yield parse_influence(payload, source)


def _write_pairs(
    counts: beam.PCollection[ClassCounts], selection: SelectionSettings, output: Output
) -> None:
    _ = (
        counts
        | "SelectPairs" >> beam.Map(select, selection)
        | "OrderPairs" >> beam.CombineGlobally(_AsList(concatenate))
        | "PairRecords" >> beam.Map(pair_examples)
        | "WritePairs" >> WriteOrdered(output)
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
