"""Checks published arrays, and writes npz files one array, or one part of an array, at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.files import complete_file

_COMPRESSION = 1  # estimates are noise in their last bits: more effort finds nothing


def check_index(values: np.ndarray, where: str, count: int | None = None) -> np.ndarray:
    """Checks indices of different examples, and returns them as int64.

    Args:
      values: integers `[any]`.
      where: file and array, for the message.
      count: how many examples there are, if that is known.

    Raises:
      InputError: if an index is negative, too large, or occurs twice.
    """
    checked = check_range(values, where, count)
    ordered = np.sort(checked)
    if (repeated := ordered[1:] == ordered[:-1]).any():
        raise InputError(f"{where}: index {ordered[repeated.argmax()]} is there more than once")
    return checked


def check_range(values: np.ndarray, where: str, count: int | None = None) -> np.ndarray:
    """Checks indices like `check_index`, but allows an example to occur more than once."""
    limit = np.iinfo(np.int64).max if count is None else count
    wrong = (values < 0) | (values >= limit)
    if wrong.any():
        raise InputError(
            f"{where}: expected indices from 0{'' if count is None else f' to {limit - 1}'}, "
            f"received {values[wrong.argmax()]} at position {wrong.argmax()}"
        )
    return values.astype(np.int64)


def check_estimates(values: np.ndarray, where: str) -> np.ndarray:
    """Checks that each estimate is a difference of probabilities or NaN, and returns them.

    Raises:
      InputError: naming the first estimate that is not within [-1, 1].
    """
    wrong = np.abs(values) > 1 + 1e-6
    if wrong.any():
        position = np.unravel_index(wrong.argmax(), wrong.shape)
        raise InputError(
            f"{where}: expected values from -1 to 1 or NaN, received {values[position]} at "
            f"position {', '.join(map(str, position))}"
        )
    return values


@dataclass(frozen=True)
class ArrayInParts:
    """An array that is made while it is written: C-ordered parts that follow each other.

    Attributes:
      shape: of the whole array.
      kind: its numpy type.
      parts: arrays of that type, which together have all its values.
    """

    shape: tuple[int, ...]
    kind: np.dtype
    parts: Iterable[np.ndarray]


def write_npz(path: Path, arrays: Iterable[tuple[str, np.ndarray | ArrayInParts]]) -> None:
    """Writes a compressed npz file; equal arrays give equal bytes.

    Args:
      path: the file; it appears under this name when it is complete.
      arrays: names and arrays, each asked for when the one before it has been written.
    """
    with (
        complete_file(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_COMPRESSION) as archive,
    ):
        for name, array in arrays:
            whole = array
            if not isinstance(whole, ArrayInParts):
                whole = ArrayInParts(whole.shape, whole.dtype, [whole])
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": whole.kind.str, "fortran_order": False, "shape": whole.shape}
                np.lib.format.write_array_header_1_0(member, header)
                for part in whole.parts:
                    member.write(np.ascontiguousarray(part, whole.kind).tobytes())
