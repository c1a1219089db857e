"""Writes estimates, the same bytes whatever the runner, the sharding and the order."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfmem.aggregation.estimates import file_name
from tfmem.records import write_records

Records = list[tuple[int, bytes]]


class _WriteFile(beam.DoFn):
    """Writes all records of one file in the order of their keys."""

    def __init__(self, folder: str, kind: str, shards: int) -> None:
        self._folder = folder
        self._kind = kind
        self._shards = shards
        self._written = Metrics.counter("tfmem", f"{kind}_written")

    def process(self, element: tuple[int, Iterable[Records]]) -> Iterator[str]:
        shard, parts = element
        path = FileSystems.join(self._folder, file_name(self._kind, shard, self._shards))
        payloads = [payload for _, payload in sorted(record for part in parts for record in part)]
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            self._written.inc(write_records(file, payloads))
        yield path


def _by_file(records: Records, per_file: int) -> Iterator[tuple[int, Records]]:
    """Splits records, ascending by key, by the file that they go to."""
    for shard, group in itertools.groupby(records, lambda record: record[0] // per_file):
        yield shard, list(group)


@beam.ptransform_fn
def WriteOrdered(
    records: beam.PCollection[Records], folder: str, kind: str, count: int, per_file: int
) -> beam.PCollection[str]:
    """Writes records to files of a folder, spread and ordered by their keys.

    Args:
      records: lists of keys from 0 to `count - 1`, ascending, with payloads.
      folder: where to, on any Beam filesystem; it must exist and is not yet a final place.
      kind: first part of the files' names.
      count: number of keys that there can be.
      per_file: keys a file.

    Returns:
      The files written. A file that no key falls into is written empty.
    """
    shards = max(1, -(-count // per_file))
    found = records | "SplitByFile" >> beam.FlatMap(_by_file, per_file)
    empty = records.pipeline | "EveryFile" >> beam.Create([(shard, []) for shard in range(shards)])
    return (
        (found, empty)
        | "WithEmptyFiles" >> beam.Flatten()
        | "GatherFile" >> beam.GroupByKey()
        | "WriteFile" >> beam.ParDo(_WriteFile(folder, kind, shards))
    )
