"""Writes estimates, the same bytes whatever the runner, the sharding and the order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfmem.aggregation.launching import Output
from tfmem.records import write_records

Records = list[tuple[int, bytes]]


class _WriteFile(beam.DoFn):
    """Writes all records of one file in the order of their keys."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._written = Metrics.counter("tfmem", f"{output.kind}_written")

    def process(self, element: tuple[int, Iterable[Records]]) -> Iterator[str]:
        number, parts = element
        path = FileSystems.join(self._output.unfinished, self._output.names[number])
        payloads = [payload for _, payload in sorted(record for part in parts for record in part)]
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            self._written.inc(write_records(file, payloads))
        yield path


def _by_file(records: Records, per_file: int) -> Iterator[tuple[int, Records]]:
    """Splits records, ascending by key, by the file that they go to."""
    for number, group in itertools.groupby(records, lambda record: record[0] // per_file):
        yield number, list(group)


@beam.ptransform_fn
def WriteOrdered(records: beam.PCollection[Records], output: Output) -> beam.PCollection[str]:
    """Writes records to the files of an output, spread and ordered by their keys.

    Args:
      records: lists of keys, ascending, with payloads.
      output: which files; one that no key falls into is written empty.

    Returns:
      The files written.
    """
    found = records | "SplitByFile" >> beam.FlatMap(_by_file, output.per_file)
    every: list[tuple[int, Records]] = [(number, []) for number in range(len(output.names))]
    empty = records.pipeline | "EveryFile" >> beam.Create(every)
    return (
        (found, empty)
        | "WithEmptyFiles" >> beam.Flatten()
        | "GatherFile" >> beam.GroupByKey()
        | "WriteFile" >> beam.ParDo(_WriteFile(output))
    )
