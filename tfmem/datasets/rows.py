"""Reads local tables as rows: TSV, CSV, JSON lines or Parquet; draws held-out rows."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config.parsing import shown
from tfmem.messages.errors import InputError, reason
from tfmem.store.unpacking import RATIO, most

_SUFFIXES = (".tsv", ".csv", ".jsonl", ".parquet")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HELD_OUT = 0x68656C64  # keeps these random numbers apart from those of any trial
_FEW, _A_BYTE = 1_000_000, 8  # records that any file may hold, and more for each of its bytes
_LISTED = 8  # records that a message names

Rows = list[dict[str, Any]]


def read_rows(folder: Path, split: str) -> tuple[Path, Rows]:
    """Reads the one table of a split: `.csv`, `.tsv`, `.jsonl` or `.parquet`.

    CSV is read as spreadsheets write it, TSV without any quoting (like GLUE's).

    Returns:
      The file, and one dictionary for each record; its values are strings, or, from JSON and
      Parquet, of any type.

    Raises:
      InputError: if records are wrong, or if there is not exactly one such file.
    """
    path = _find(folder, split)
    try:
        if path.suffix == ".parquet":
            return path, _parquet_rows(path)
        return path, _json_rows(path) if path.suffix == ".jsonl" else _table_rows(path)
    except (OSError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8 that are not blank.

    Raises:
      InputError: if the file cannot be read, or has another encoding; the error names the line.
    """
    try:
        # `str.splitlines` would also end lines at characters that texts hold, such as U+2028.
        lines = io.StringIO(_decoded(path), newline=None)
        return [line.rstrip("\n") for line in lines if line.strip()]
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from None


def _decoded(path: Path) -> str:
    """The text of a file in UTF-8, with the line ends that it has."""
    contents = path.read_bytes()
    try:
        return contents.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = contents.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"{path}: line {line}: expected text in UTF-8, received the byte "
            f"0x{contents[error.start]:02x}"
        ) from None


def check_columns(path: Path, rows: Rows, wanted: Sequence[tuple[str, str]]) -> None:
    """Refuses a table that lacks a column in one of its records.

    Args:
      path: the file.
      rows: the records of the file.
      wanted: pairs of a setting and the column that it names.
    """
    for setting, column in wanted:
        if lacking := [number for number, row in enumerate(rows) if column not in row]:
            raise InputError(
                f"{path}: {setting}: expected one of {shown(sorted(map(str, rows[lacking[0]])))}, "
                f"received {shown(column)} ({rows_said(lacking)})"
            )


def held_out(count: int, share: float, setting: str) -> np.ndarray:
    """Draws the examples to hold out for testing, bool `[count]`: random, but always the same.

    Raises:
      InputError: if none or all examples would be held out; the error names `setting`.
    """
    tests = round(share * count)
    if not 0 < tests < count:
        raise InputError(
            f"{setting}: expected some of the {count} examples and not all, received {share}"
        )
    chosen = np.zeros(count, bool)
    chosen[drawn_rows(count, tests)] = True
    return chosen


def drawn_rows(count: int, most: int) -> np.ndarray:
    """Rows drawn at random, but always the same: int64, `most` of `count` or all, ascending."""
    drawn = np.random.PCG64(np.random.SeedSequence(_HELD_OUT)).random_raw(count)
    return np.sort(np.argsort(drawn, kind="stable")[:most])


def rows_said(records: Sequence[int]) -> str:
    """The numbers of the first records as text, and how many more there are."""
    more = f" and {len(records) - _LISTED:,} more" if len(records) > _LISTED else ""
    return f"record {', '.join(map(str, records[:_LISTED]))}{more}"


def _find(folder: Path, split: str) -> Path:
    found = [path for s in _SUFFIXES if (path := folder / f"{split}{s}").is_file()]
    if len(found) != 1:
        names = ", ".join(f"{split}{suffix}" for suffix in _SUFFIXES)
        received = " and ".join(path.name for path in found) or "none of them"
        raise InputError(f"{folder}: expected one of {names}, received {received}")
    return found[0]


def _table_rows(path: Path) -> Rows:
    separated: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    options = separated if path.suffix == ".tsv" else {"strict": True}
    csv.field_size_limit(2**31 - 1)  # texts may have any length
    with io.StringIO(_decoded(path), newline="") as file:
        header, *rows = [row for row in csv.reader(file, **options) if row] or [[]]
    if not header:
        raise InputError(f"{path}: expected a header and records, received nothing")
    wrong = [number for number, row in enumerate(rows) if len(row) != len(header)]
    if wrong:
        row = rows[wrong[0]]
        raise InputError(
            f"{path}: {rows_said(wrong)}: expected {len(header)} columns, as in the header, "
            f"received {len(row)}, the last of them {shown(row[-1])}; texts with a separator or a "
            "line break go in double quotes, in .csv"
        )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _json_rows(path: Path) -> Rows:
    rows = []
    for number, line in enumerate(_decoded(path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, 5,000 brackets
            raise InputError(f"{where}: not JSON: {reason(error)}") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected an object, received {type(row).__name__}")
        if any(isinstance(value, str) and _SURROGATE.search(value) for value in row.values()):
            raise InputError(f"{where}: expected Unicode text, received half a surrogate pair")
        rows.append(row)
    return rows


def _parquet_rows(path: Path) -> Rows:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            about = file.metadata
            unpacked = sum(about.row_group(k).total_byte_size for k in range(about.num_row_groups))
            packed = path.stat().st_size
            if unpacked > most(packed) or about.num_rows > max(_FEW, _A_BYTE * packed):
                raise InputError(
                    f"{path}: {packed:,} bytes say that they hold {about.num_rows:,} records in "
                    f"{unpacked:,} bytes: expected at most {_A_BYTE} records and {RATIO} bytes for "
                    "each"
                )
            rows: Rows = file.read().to_pylist()
    except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path}: not readable as Parquet: {reason(error)}") from None
    return rows
