"""Estimates as tables that other programs read: Parquet or CSV, with the columns of `Run`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tfmem.store.files import complete_file
from tfmem.store.spreadsheets import to_csv

if TYPE_CHECKING:
    from tfmem.estimation.blocks import InfluenceBlock

TableFormat = Literal["parquet", "csv"]
_ROWS = 1 << 17  # of a table that are text at a time


def write_tables(tables: Mapping[Path, Iterable[pd.DataFrame]], kind: TableFormat) -> None:
    """Writes tables part by part; all files appear when all are complete, or none does.

    Args:
      tables: by the file each goes to; there is a part at least, parts have the same columns, and
        each is asked for when the one before has been written.
      kind: `parquet` (a row group for each part) or `csv` (NaN is an empty field).
    """
    with contextlib.ExitStack() as files:
        for path, parts in tables.items():
            file = files.enter_context(complete_file(path))
            (_write_csv if kind == "csv" else _write_parquet)(file, parts)


def _write_csv(file: BinaryIO, parts: Iterable[pd.DataFrame]) -> None:
    for number, part in enumerate(parts):
        for start in range(0, max(1, len(part)), _ROWS):
            rows, header = part.iloc[start : start + _ROWS], not number and not start
            # pandas would lose what a full disk refuses at the end of a file
            file.write(to_csv(rows, header=header))


def _write_parquet(file: BinaryIO, parts: Iterable[pd.DataFrame]) -> None:
    writer = None
    for part in parts:
        table = pa.Table.from_pandas(part, preserve_index=False)
        writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def long_influence(block: InfluenceBlock) -> pd.DataFrame:
    """Influence of one class, one row for each pair of a training and a test example.

    Returns:
      `label`, `train_index`, `test_index` int64; `influence`, `stderr`, `ci_low`, `ci_high`
      float32, NaN where an example was in every trial or in none.
    """
    train, test, errors = block.train_index, block.test_index, block.errors
    columns = {
        "influence": errors.value,
        "stderr": errors.stderr,
        "ci_low": errors.low,
        "ci_high": errors.high,
    }
    return pd.DataFrame(
        {
            "label": block.label,
            "train_index": train.repeat(len(test)),
            "test_index": pd.Series(test.tolist() * len(train), dtype="int64"),
            **{name: values.ravel().astype("float32") for name, values in columns.items()},
        }
    )
