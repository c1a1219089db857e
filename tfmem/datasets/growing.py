"""Arrays that are too large for memory: they grow in a file, and are read through a memory map."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError, reason
from tfmem.store.npz import row_blocks


class GrowingArray:
    """Rows that are added one batch after the other.

    Numbers go into a file without a name, which is gone when the array is, or the program, whatever
    ends it. Strings, whose lengths differ, are held in memory.
    """

    def __init__(self, folder: Path, where: str) -> None:
        """Takes the folder of the file, and what errors call the array."""
        self._folder, self._where = folder, where
        self._file: Any = None
        self._strings: list[np.ndarray] = []
        self._dtype: np.dtype[Any] | None = None
        self._shape: tuple[int, ...] = ()
        self._rows = 0

    def append(self, rows: np.ndarray) -> None:
        """Adds rows `[rows, ...]`; float64 becomes float32.

        Raises:
          InputError: if they have another shape or kind than those before, or the disk is full.
        """
        dtype = np.dtype(np.float32) if rows.dtype == np.float64 else rows.dtype.newbyteorder("=")
        if self._dtype is None:
            self._dtype, self._shape = dtype, rows.shape[1:]
        if rows.shape[1:] != self._shape or not np.can_cast(dtype, self._dtype, "same_kind"):
            raise InputError(
                f"{self._where}: expected {self._dtype} {list(self._shape)} for each example, as "
                f"for the first, received {rows.dtype} {list(rows.shape[1:])} for example "
                f"{self._rows:,} or one soon after it"
            )
        self._rows += len(rows)
        if dtype.kind not in "biuf":
            self._strings.append(rows)
            return
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - mapped later
            self._file.write(rows.astype(self._dtype).tobytes())
        except OSError as error:
            raise self._cannot_be_written(error) from None

    def array(self) -> np.ndarray:
        """All rows: a read-only memory map, or strings in memory."""
        if self._strings:
            return np.concatenate(self._strings)
        shape = self._rows, *self._shape
        if self._file is None or not np.prod(shape):
            return np.zeros(shape, self._dtype)
        try:
            self._file.flush()
        except OSError as error:
            raise self._cannot_be_written(error) from None
        return np.memmap(self._file, np.dtype(self._dtype), "r", 0, shape)

    def _cannot_be_written(self, error: OSError) -> InputError:
        return InputError(
            f"{self._where}: examples cannot be written to {self._folder}: {reason(error)}"
        )


def is_mapped(array: np.ndarray | None) -> bool:
    """Whether an array, or the one that it is a view of, is a memory map."""
    while isinstance(array, np.ndarray):
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def copied_in_blocks(array: np.ndarray, folder: Path, where: str) -> np.ndarray:
    """A copy of an array that lies on disk, in the types that models take.

    Args:
      array: `[rows, ...]`, anything that has a shape, a type, and slices.
      folder: the folder of the file.
      where: what errors call the array.

    Raises:
      InputError: if it cannot be read, or the disk is full.
    """
    growing = GrowingArray(folder, where)
    for rows in row_blocks(array):
        growing.append(np.asarray(rows))
    return growing.array()
