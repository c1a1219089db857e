"""Attributions as a table with one row for each pair, such as `tfmem export` writes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import csc_array

from tfmem.messages.errors import InputError

_NAMES = ("influence", "weight", "score", "attribution")
_BYTES = 48  # a row, while the table is sorted by test example
_SHARE = 0.6  # of the free memory


class SparseScores:
    """Attributions of which most may be 0."""

    def __init__(self, values: csc_array) -> None:
        """Takes over attributions `[num_train, num_test]`."""
        self._values = values
        self.shape: tuple[int, int] = values.shape

    def __getitem__(self, part: tuple[slice, slice]) -> np.ndarray:
        """The attributions of some test examples, `[num_train, tests]`."""
        found: np.ndarray = self._values[:, part[1]].toarray()
        return found


def read_score_table(path: Path, shape: tuple[int, int], name: str | None) -> SparseScores:
    """Reads a Parquet file of pairs.

    Args:
      path: the file, with the columns `train_index` and `test_index` and the attribution.
      shape: the numbers of training and of test examples.
      name: the column of the attribution; None is the one called influence, weight, score or
        attribution.

    Returns:
      The attributions; pairs that are not in the table are 0.

    Raises:
      InputError: naming file, column and row, if a column is missing, an index is none of an
        example, a pair is there twice, or there is not enough memory.
    """
    try:
        file = pq.ParquetFile(path)
        names, rows = file.schema_arrow.names, file.metadata.num_rows
        column = _column(names, name, path)
        if rows > shape[0] * shape[1]:
            raise InputError(
                f"{path}: expected at most {shape[0] * shape[1]:,} rows for {shape[0]:,} training "
                f"and {shape[1]:,} test examples, received {rows:,}"
            )
        free = psutil.virtual_memory().available
        if rows * _BYTES > _SHARE * free:
            raise InputError(
                f"{path}: {rows:,} rows need {rows * _BYTES / 1e9:,.1f} GB of memory, and "
                f"{free / 1e9:,.1f} GB are free: write the attributions as an array (.npy)"
            )
        table = file.read(["train_index", "test_index", column])
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file: {error}") from None
    index = [
        _index(table[each], count, f"{path}: {each}")
        for each, count in zip(("train_index", "test_index"), shape, strict=True)
    ]
    values = _numbers(table[column], f"{path}: {column}")
    found = csc_array((values, (index[0], index[1])), shape=shape)
    if found.nnz != len(values) or _repeated(index, shape):
        raise InputError(f"{path}: a pair of a training and a test example is there twice")
    return SparseScores(found)


def _column(names: list[str], name: str | None, path: Path) -> str:
    wanted = [name] if name is not None else [each for each in _NAMES if each in names]
    missing = [each for each in ("train_index", "test_index", *wanted[:1]) if each not in names]
    if missing or not wanted:
        expected = missing[0] if missing else " or ".join(_NAMES)
        raise InputError(f"{path}: expected a column {expected}, found {', '.join(names[:12])}")
    return wanted[0]


def _index(column: pa.ChunkedArray, count: int, where: str) -> np.ndarray:
    values = _numbers(column, where)
    wrong = ~((values >= 0) & (values < count) & (values == np.floor(values)))
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{where}: row {row}: expected an index from 0 to {count - 1}, received {values[row]}"
        )
    return values.astype(np.int64)


def _numbers(column: pa.ChunkedArray, where: str) -> np.ndarray:
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise InputError(f"{where}: expected numbers, received {column.type}")
    return column.to_numpy()


def _repeated(index: list[np.ndarray], shape: tuple[int, int]) -> bool:
    pairs = np.sort(index[0] * shape[1] + index[1])
    return bool((pairs[1:] == pairs[:-1]).any())
