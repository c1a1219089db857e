"""npz files of plain arrays: read without trusting them, written an array, or a part, at a time."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.errors import InputError
from tfmem.predictions import complete_file

_COMPRESSION = 1  # estimates are noise in their last bits: more effort finds nothing
_KINDS = {"iu": "integers", "f": "floats", "biuf": "numbers"}
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


class NpzFile:
    """An npz file of which each array is read, and checked, when it is asked for."""

    def __init__(self, path: Path) -> None:
        """Opens the file.

        Raises:
          InputError: if there is none or it is no zip archive.
        """
        self.path = path
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        try:
            self._archive = zipfile.ZipFile(path)
        except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
            raise InputError(f"{path}: not a readable npz file: {error}") from None
        self.names = [n.removesuffix(".npy") for n in self._archive.namelist()]

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    def array(self, name: str, kinds: str, shape: tuple[int | str, ...]) -> np.ndarray:
        """One array.

        Args:
          name: what it is called.
          kinds: letters of the numpy kinds it may have: `iu`, `f` or `biuf`.
          shape: the length of each axis, or a word for one that may have any.

        Raises:
          InputError: naming file and array, if it is missing, damaged, or of another kind or shape.
            Nothing is unpickled, and nothing allocated that is not in the file.
        """
        if name not in self.names:
            known = self.names if len(self.names) < 12 else [*self.names[:11], "…"]
            raise InputError(f"{self.path}: expected an array {name!r}, found {known}")
        where = f"{self.path}: {name}"
        try:
            return self._read(name, kinds, shape, where)
        except InputError:
            raise
        except Exception as error:  # zipfile, zlib, numpy and tokenize each have their own
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{where}: cannot be read: {reason}") from None

    def _read(self, name: str, kinds: str, shape: tuple[int | str, ...], where: str) -> np.ndarray:
        info = self._archive.getinfo(f"{name}.npy")
        with self._archive.open(info) as file:
            read_header = _HEADERS.get(np.lib.format.read_magic(file))
            if read_header is None:
                raise InputError(f"{where}: an npy header of an unknown version")
            found, by_columns, kind = read_header(file)
            fits = len(found) == len(shape) and all(
                isinstance(expected, str) or length == expected
                for length, expected in zip(found, shape, strict=False)
            )
            if kind.kind not in kinds or not fits:
                raise InputError(
                    f"{where}: expected {_KINDS[kinds]} [{', '.join(map(str, shape))}], received "
                    f"{kind} {list(found)}"
                )
            size = kind.itemsize * math.prod(found)
            if size != info.file_size - file.tell():
                raise InputError(
                    f"{where}: expected {size} bytes for {kind} {list(found)}, the file has "
                    f"{info.file_size - file.tell()}"
                )
            contents = file.read()
        flat = np.frombuffer(contents, kind)
        return flat.reshape(found, order="F" if by_columns else "C")


def check_index(values: np.ndarray, where: str, count: int | None = None) -> np.ndarray:
    """Indices of different examples as int64.

    Args:
      values: integers `[any]`.
      where: file and array, for the message.
      count: how many examples there are, if that is known.

    Raises:
      InputError: if an index is negative, too large, or there twice.
    """
    limit = np.iinfo(np.int64).max if count is None else count
    wrong = (values < 0) | (values >= limit)
    if wrong.any():
        raise InputError(
            f"{where}: expected indices from 0{'' if count is None else f' to {limit - 1}'}, "
            f"received {values[wrong.argmax()]} at position {wrong.argmax()}"
        )
    ordered = np.sort(values)
    if (repeated := ordered[1:] == ordered[:-1]).any():
        raise InputError(f"{where}: index {ordered[repeated.argmax()]} is there more than once")
    return values.astype(np.int64)


def check_estimates(values: np.ndarray, where: str) -> np.ndarray:
    """Estimates as they are, if each is a difference of probabilities or NaN.

    Raises:
      InputError: naming the first that is not within [-1, 1].
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
class Parts:
    """An array that is made while it is written: C-ordered parts that follow each other.

    Attributes:
      shape: of the whole array.
      kind: its numpy type.
      parts: arrays of that type, which together have all its values.
    """

    shape: tuple[int, ...]
    kind: np.dtype
    parts: Iterable[np.ndarray]


def write_npz(path: Path, arrays: Iterable[tuple[str, np.ndarray | Parts]]) -> None:
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
            whole = array if isinstance(array, Parts) else Parts(array.shape, array.dtype, [array])
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                header = {"descr": whole.kind.str, "fortran_order": False, "shape": whole.shape}
                np.lib.format.write_array_header_1_0(member, header)
                for part in whole.parts:
                    member.write(np.ascontiguousarray(part, whole.kind).tobytes())
