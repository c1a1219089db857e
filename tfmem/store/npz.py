"""Writes npz and npy files of plain arrays, and reads them without trusting them.

Nothing is unpickled. Each size that a file states is compared with the contents of the file before
memory is allocated. All errors of zipfile, zlib or numpy become one `InputError` that names file
and array.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO, Any, Literal

import numpy as np

from tfmem.messages.errors import InputError, reason
from tfmem.store.unpacking import RATIO, most

PLAIN = "biufU"  # kinds of arrays: booleans, integers, floats, strings
_WORDS = {"b": "booleans", "iu": "integers", "f": "floats", "c": "complex numbers", "U": "strings"}
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # bzip2 and LZMA unpack without a bound
_ENCRYPTED = 1  # bit of a member's flags
_HEADER = 1024  # most bytes of a header, because numpy evaluates it; 30 axes fit
_BLOCK = 1 << 22
_SURROGATES = (0xD800, 0xDFFF)
_LAST_CHARACTER = 0x10FFFF
_READ_HEADER = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}

Shape = Sequence[int | str]


class NpzFile:
    """An npz file, whose arrays are read and checked one by one, on request.

    Attributes:
      source: what the file is called in error messages.
      names: the names of its arrays, in the order of the file.
    """

    def __init__(
        self, file: str | os.PathLike[str] | bytes, source: str = "", ratio: int = RATIO
    ) -> None:
        """Opens a file.

        Args:
          file: a path, or the contents.
          source: what the file is called in error messages; by default its path.
          ratio: how many times its size the file may unpack to, if that is more than 256 MiB.

        Raises:
          InputError: if the file does not exist, is no zip archive, or states that it unpacks to
            more.
        """
        self.source = source or ("npz file" if isinstance(file, bytes) else os.fspath(file))
        self._file = _open(file, self.source)
        try:
            with _refused(f"{self.source}: not a readable npz file"):
                self._archive = zipfile.ZipFile(self._file)
                members = self._archive.infolist()
                self._check_size(sum(member.file_size for member in members), ratio)
        except InputError:
            self._file.close()
            raise
        arrays = [member for member in members if member.filename.endswith(".npy")]
        self._members = {member.filename.removesuffix(".npy"): member for member in arrays}
        self.names = list(self._members)

    def __enter__(self) -> NpzFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def close(self) -> None:
        """Closes the file."""
        self._archive.close()
        self._file.close()

    def array(self, name: str, kinds: str = PLAIN, shape: Shape | None = None) -> np.ndarray:
        """Reads one array, which the caller may write to.

        Args:
          name: the array's name.
          kinds: letters of the numpy kinds that the array may have.
          shape: the length of each axis, or a word for an axis of any length; None allows any
            shape.

        Raises:
          InputError: naming file and array, if the array is missing, damaged, or of another kind or
            shape.
        """
        if name not in self._members:
            known = self.names if len(self.names) < 12 else [*self.names[:11], "…"]
            raise InputError(f"{self.source}: expected an array {name!r}, found {known}")
        member, where = self._members[name], f"{self.source}: {name}"
        if member.flag_bits & _ENCRYPTED:
            raise InputError(f"{where}: cannot be read: it is encrypted")
        if member.compress_type not in _METHODS:
            raise InputError(
                f"{where}: cannot be read: expected it stored or deflated, as numpy does, received "
                f"compression method {member.compress_type}"
            )
        with _refused(f"{where}: cannot be read"), self._archive.open(member) as contents:
            return _read_array(contents, member.file_size, kinds, shape, where)

    def _check_size(self, unpacked: int, ratio: int) -> None:
        packed = self._file.seek(0, os.SEEK_END)
        if unpacked > most(packed, ratio):
            raise InputError(
                f"{self.source}: {packed:,} bytes say that they unpack to {unpacked:,}, more than "
                f"{ratio} times as many; if that is right, write the arrays with numpy.savez, "
                "which does not compress"
            )


def write_npz(file: IO[bytes], arrays: Mapping[str, Any], compressed: bool = False) -> None:
    """Writes arrays to an open file as npz, which needs no unpickling to be read.

    Args:
      file: open for writing.
      arrays: by name.
      compressed: whether to deflate the arrays.

    Raises:
      ValueError: if an array holds Python objects.
    """
    for name, array in arrays.items():
        if np.asarray(array).dtype.hasobject:
            raise ValueError(f"{name}: an array of Python objects, which nothing here unpickles")
    (np.savez_compressed if compressed else np.savez)(file, **arrays)


def npz_bytes(arrays: Mapping[str, Any], compressed: bool = False) -> bytes:
    """Returns the contents of an npz file; see `write_npz`."""
    file = io.BytesIO()
    write_npz(file, arrays, compressed)
    return file.getvalue()


def read_npz(
    file: str | os.PathLike[str] | bytes, source: str = "", kinds: str = PLAIN
) -> dict[str, np.ndarray]:
    """Reads all arrays of an npz file; see `NpzFile` for arguments and errors."""
    with NpzFile(file, source) as arrays:
        return {name: arrays.array(name, kinds) for name in arrays.names}


def read_npy(
    file: str | os.PathLike[str] | bytes, kinds: str = PLAIN, shape: Shape | None = None
) -> np.ndarray:
    """Reads an npy file; see `NpzFile.array` for arguments and errors."""
    source = "npy file" if isinstance(file, bytes) else os.fspath(file)
    with _open(file, source) as contents, _refused(f"{source}: cannot be read"):
        size = contents.seek(0, os.SEEK_END)
        contents.seek(0)
        return _read_array(contents, size, kinds, shape, source)


def map_npy(path: str | os.PathLike[str], kinds: str = PLAIN) -> np.ndarray:
    """Opens an npy file as a read-only memory map, of which only what is used is read.

    Args:
      path: the file.
      kinds: letters of the numpy kinds that the array may have.

    Raises:
      InputError: naming the file, if it is damaged or of another kind.
    """
    source = os.fspath(path)
    with _open(path, source) as file, _refused(f"{source}: cannot be read"):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        shape, by_columns, kind = _read_header(file, size, kinds, None, source)
        if not math.prod(shape):
            return np.empty(shape, kind)
        order: Literal["F", "C"] = "F" if by_columns else "C"
        return np.memmap(path, kind, "r", file.tell(), shape, order)


def npy_parts(array: np.ndarray) -> Iterator[bytes]:
    """Yields the contents of an npy file in parts of a few megabytes.

    Args:
      array: `[rows, ...]`, which may be a memory map.
    """
    header = io.BytesIO()
    described = {
        "descr": np.lib.format.dtype_to_descr(array.dtype),
        "fortran_order": False,
        "shape": array.shape,
    }
    np.lib.format.write_array_header_1_0(header, described)
    yield header.getvalue()
    for rows in row_blocks(array):
        yield rows.tobytes()


def row_blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yields the rows of an array `[rows, ...]` in blocks of at most 4 MB, or of one row each."""
    step = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        yield array[start : start + step]


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """Turns every error in its block into an `InputError`: each library has errors of its own."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what}: {reason(error)}") from None


def _open(file: str | os.PathLike[str] | bytes, source: str) -> IO[bytes]:
    if isinstance(file, bytes):
        return io.BytesIO(file)
    try:
        return open(file, "rb")
    except FileNotFoundError:
        raise InputError(f"{source}: no such file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{source}: cannot be read: {reason(error)}") from None


def _read_array(
    file: IO[bytes], size: int, kinds: str, expected: Shape | None, where: str
) -> np.ndarray:
    """Reads the array in an open npy file of `size` bytes."""
    shape, by_columns, kind = _read_header(file, size, kinds, expected, where)
    there = size - file.tell()
    contents = np.empty(there, np.uint8)
    view = contents.data
    for start in range(0, there, _BLOCK):
        block = view[start : start + _BLOCK]
        if (count := file.readinto(block)) != len(block):  # type: ignore[attr-defined]
            raise InputError(
                f"{where}: expected {there:,} bytes, the file ends after {start + count:,}"
            )
    array: np.ndarray[Any, Any] = contents.view(kind).reshape(
        shape, order="F" if by_columns else "C"
    )
    array = array.astype(kind.newbyteorder("="), copy=False)
    if kind.kind == "U":
        _check_characters(array, where)
    return array


def _read_header(
    file: IO[bytes], size: int, kinds: str, expected: Shape | None, where: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Reads and checks shape, order and type of the array in an open npy file of `size` bytes."""
    version = np.lib.format.read_magic(file)
    if version not in _READ_HEADER:
        raise InputError(f"{where}: an npy header of an unknown version, {version}")
    shape, by_columns, kind = _READ_HEADER[version](file, max_header_size=_HEADER)
    received = f"{kind} {list(shape)}"
    if kind.hasobject:
        raise InputError(
            f"{where}: an array of Python objects, which is never unpickled; write it as "
            "array.astype(str), or as numbers"
        )
    if kind.kind not in kinds or min(shape, default=0) < 0 or not _fits(shape, expected):
        form = "" if expected is None else f" [{', '.join(map(str, expected))}]"
        words = " or ".join(word for letters, word in _WORDS.items() if set(letters) & set(kinds))
        raise InputError(f"{where}: expected {words}{form}, received {received}")
    claimed, there = kind.itemsize * math.prod(shape), size - file.tell()
    if claimed != there:
        raise InputError(
            f"{where}: expected {claimed:,} bytes for {received}, the file has {there:,}"
        )
    return shape, by_columns, kind


def _fits(shape: tuple[int, ...], expected: Shape | None) -> bool:
    return expected is None or (
        len(shape) == len(expected)
        and all(
            isinstance(e, str) or length == e for length, e in zip(shape, expected, strict=True)
        )
    )


def _check_characters(strings: np.ndarray, where: str) -> None:
    """Refuses codes that Python cannot hold as text, or cannot write."""
    codes = np.ascontiguousarray(strings).reshape(-1).view(np.uint32)
    low, high = _SURROGATES
    wrong = (codes > _LAST_CHARACTER) | ((codes >= low) & (codes <= high))
    if wrong.any():
        raise InputError(f"{where}: {codes[wrong.argmax()]:#x} is no character of Unicode")
