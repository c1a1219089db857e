"""Writes estimates to the same bytes, whatever the runner, the sharding and the order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfmem.aggregation.launching import Output
from tfmem.messages.errors import InputError
from tfmem.store.sets import write_counted
from tfmem.store.tables import encode_rows

Table = Mapping[str, np.ndarray]


class _WriteFile(beam.DoFn):
    """Writes one file."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._written = Metrics.counter("tfmem", f"{output.kind}_written")

    def process(self, element: tuple[int, Iterable[Any]]) -> Iterator[str]:
        number, parts = element
        name = self._output.names[number]
        payloads = self._payloads([part for part in parts if part is not None])
        path = FileSystems.join(self._output.unfinished, name)
        try:
            with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                facts = write_counted(file, payloads)
            self._output.note(name, facts._asdict())
        except OSError as error:
            final = FileSystems.join(self._output.folder, name)
            raise InputError(f"{final}: cannot be written: {error.strerror or error}") from None
        self._written.inc(facts.records)
        yield path

    def _payloads(self, parts: list[tuple[int, bytes]]) -> Iterable[bytes]:
        return [payload for _, payload in sorted(parts)]


class _WriteTable(_WriteFile):
    """Writes the rows of one file, ordered by index."""

    def _payloads(self, parts: list[np.ndarray]) -> Iterable[bytes]:  # type: ignore[override]
        if not parts:
            return []
        rows = np.concatenate(parts)
        if "index" in _names(rows):
            rows = rows[np.argsort(rows["index"], kind="stable")]
        return encode_rows({name: rows[name] for name in _names(rows)})


@beam.ptransform_fn
def WriteTable(tables: beam.PCollection[Table], output: Output) -> beam.PCollection[str]:
    """Writes rows to the files of an output, divided and ordered by their `index`.

    Args:
      tables: columns of equal length; without an `index` there is one table, for the first file.
      output: the files; a file without rows is written empty.

    Returns:
      The paths of the files written.
    """
    split = tables | "SplitByFile" >> beam.FlatMap(_by_file, output.per_file).with_output_types(
        tuple[int, Any]
    )
    every = range(len(output.names))
    return _gathered(split, every) | "WriteTable" >> beam.ParDo(_WriteTable(output))


@beam.ptransform_fn
def WriteOrdered(
    records: beam.PCollection[tuple[int, bytes]], output: Output, files: Iterable[int]
) -> beam.PCollection[str]:
    """Writes records to the files of an output, divided and ordered by their keys.

    Args:
      records: keys with payloads.
      output: all files.
      files: numbers of the files to write; a file without keys is written empty.

    Returns:
      The paths of the files written.
    """
    split = records | "SplitByFile" >> beam.Map(_file_of, output.per_file).with_output_types(
        tuple[int, Any]
    )
    return _gathered(split, files) | "WriteRecords" >> beam.ParDo(_WriteFile(output))


def _by_file(table: Table, per_file: int) -> Iterator[tuple[int, np.ndarray]]:
    """Splits rows by file, into one array for each: Beam would encode single rows one by one."""
    kinds = [(name, values.dtype) for name, values in table.items()]
    rows = np.empty(len(next(iter(table.values()))), kinds)
    for name, values in table.items():
        rows[name] = values
    if "index" not in table:
        yield 0, rows
        return
    number = rows["index"] // per_file
    for file in np.unique(number).tolist():
        yield file, rows[number == file]


def _names(rows: np.ndarray) -> tuple[str, ...]:
    return rows.dtype.names or ()


def _file_of(record: tuple[int, bytes], per_file: int) -> tuple[int, tuple[int, bytes]]:
    return record[0] // per_file, record


def _gathered(
    found: beam.PCollection[tuple[int, Any]], files: Iterable[int]
) -> beam.PCollection[tuple[int, Iterable[Any]]]:
    """Groups contents by file, with a None for each file, so that empty ones are written."""
    every: list[tuple[int, None]] = [(number, None) for number in files]
    each = beam.FlatMap(_start, every).with_output_types(tuple[int, Any])
    return (
        (found, found.pipeline | "Start" >> beam.Impulse() | "EveryFile" >> each)
        | "WithEmptyFiles" >> beam.Flatten()
        | "GatherFile" >> beam.GroupByKey()
    )


def _start(_: bytes, every: list[tuple[int, None]]) -> list[tuple[int, None]]:
    return every
