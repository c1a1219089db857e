"""Estimates as tables that other programs read: Parquet or CSV, columns as in `tfmem.run`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tfmem.predictions import complete_file
from tfmem.run import InfluenceBlock

TableFormat = Literal["parquet", "csv"]


def write_table(path: Path, kind: TableFormat, parts: Iterable[pd.DataFrame]) -> int:
    """Writes a table part by part; the file appears under its name when it is complete.

    Args:
      path: the file.
      kind: `parquet` (a row group for each part) or `csv` (NaN is an empty field).
      parts: tables of the same columns, at least one; each is asked for when the one before has
        been written.

    Returns:
      The number of rows.
    """
    rows = 0
    with complete_file(path) as file:
        if kind == "csv":
            for number, part in enumerate(parts):
                part.to_csv(file, index=False, header=not number, lineterminator="\n")
                rows += len(part)
            return rows
        writer = None
        for part in parts:
            table = pa.Table.from_pandas(part, preserve_index=False)
            writer = writer or pq.ParquetWriter(file, table.schema, compression="zstd")
            writer.write_table(table)
            rows += len(part)
        if writer:
            writer.close()
    return rows


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
