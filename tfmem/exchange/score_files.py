"""Attributions as others write them: npy, npz, Parquet, Zarr and safetensors, read in blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from tfmem.exchange.score_tables import read_score_table
from tfmem.messages.errors import InputError, reason
from tfmem.store.npz import NpzFile, map_npy

Order = Literal["auto", "train-test", "test-train"]
Shape = tuple[int, int]

_LARGEST_CHUNK = 1 << 30  # bytes of a chunk of Zarr, which is read as a whole


class _Array(Protocol):
    """An array of which parts are read, such as a memory map."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, part: Any) -> Any: ...


class Attributions:
    """Attributions of test examples to training examples (a `ScoreMatrix`).

    Attributes:
      source: what errors call it.
    """

    def __init__(self, array: _Array, shape: Shape, order: Order, source: str) -> None:
        """Takes an array over, once its shape fits.

        Args:
          array: `[num_train, num_test]`, or transposed.
          shape: the numbers of training and of test examples.
          order: which axis is which; `auto` follows from the shape.
          source: what errors call the array.

        Raises:
          InputError: if the shape does not fit, or does not say which axis is which.
        """
        self.source = source
        self._array = array
        self._tests = shape[1]
        received = tuple(array.shape)
        if order == "auto" and received == shape and shape[0] == shape[1]:
            raise InputError(
                f"{source}: {shape[0]} x {shape[1]} attributions may be [train, test] or "
                "[test, train]: say which with --order train-test or --order test-train"
            )
        fits = [
            name
            for name, expected in (("train-test", shape), ("test-train", shape[::-1]))
            if received == expected and order in ("auto", name)
        ]
        if not fits:
            others = {"train-test": [shape], "test-train": [shape[::-1]]}
            expected = " or ".join(str(list(s)) for s in others.get(order, [shape, shape[::-1]]))
            raise InputError(
                f"{source}: expected attributions {expected} of {shape[0]:,} training and "
                f"{shape[1]:,} test examples, received {list(received)}"
            )
        self._turned = fits[0] == "test-train"

    def columns(self, tests: slice) -> np.ndarray:
        """The attributions of some test examples, floats `[num_train, tests]`.

        Raises:
          InputError: if the file cannot be read.
        """
        part = slice(*tests.indices(self._tests))
        with _refused(self.source):
            if self._turned:
                return np.asarray(self._array[part, :]).T
            return np.asarray(self._array[:, part])


def open_scores(
    path: str | os.PathLike[str], shape: Shape, order: Order = "auto", name: str | None = None
) -> Attributions:
    """Opens a file of attributions, of which only blocks are read at a time where that is possible.

    Args:
      path: `.npy` (a memory map), `.npz`, `.parquet` (a row for each pair, with the columns
        `train_index`, `test_index` and the attribution; pairs that are not there count as 0),
        `.zarr` (a folder or, as `.zarr.zip`, a file) or `.safetensors`.
      shape: the numbers of training and of test examples.
      order: which axis is which.
      name: name of the array, or of the column, in files that hold several.

    Raises:
      InputError: naming the file, if it is of another kind, damaged or of another shape, or if a
        package that reads it is not installed.
    """
    path = Path(path)
    kind = "".join(path.suffixes[-2:]) if path.suffix == ".zip" else path.suffix
    if kind not in _READERS:
        known = ", ".join(_READERS)
        raise InputError(f"{path}: expected a file of attributions ({known}), received {kind!r}")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    with _refused(str(path)):
        array, found = _READERS[kind](path, shape, name)
    if kind == ".parquet":
        order = "train-test"  # its columns say so
    return Attributions(array, shape, order, f"{path}: {found}" if found else str(path))


def _npy(path: Path, shape: Shape, name: str | None) -> tuple[_Array, str]:
    return map_npy(path, "iuf"), ""


def _parquet(path: Path, shape: Shape, name: str | None) -> tuple[_Array, str]:
    return read_score_table(path, shape, name), ""


def _npz(path: Path, shape: Shape, name: str | None) -> tuple[_Array, str]:
    with NpzFile(path) as file:
        chosen = _chosen(file.names, name, str(path))
        return file.array(chosen, "iuf"), chosen


def _zarr(path: Path, shape: Shape, name: str | None) -> tuple[_Array, str]:
    try:
        import zarr
    except ImportError:
        raise _not_installed(path, "zarr") from None
    store = zarr.storage.ZipStore(path, mode="r") if path.suffix == ".zip" else str(path)
    opened, chosen = zarr.open(store, mode="r"), ""
    if isinstance(opened, zarr.Group):
        chosen = _chosen(sorted(opened.array_keys()), name, str(path))
        opened = opened[chosen]
    found: Any = opened  # an array, since the name is that of one
    if found.dtype.kind not in "iuf":
        raise InputError(f"{path}: expected numbers, received {found.dtype}")
    chunk = int(np.prod(found.chunks, dtype=object)) * found.dtype.itemsize
    if chunk > _LARGEST_CHUNK:
        raise InputError(
            f"{path}: expected chunks of at most {_LARGEST_CHUNK:,} bytes, received "
            f"{list(found.chunks)} of {found.dtype}, which is {chunk:,}"
        )
    return found, chosen


def _safetensors(path: Path, shape: Shape, name: str | None) -> tuple[_Array, str]:
    try:
        from safetensors import safe_open
    except ImportError:
        raise _not_installed(path, "safetensors") from None
    file = safe_open(path, framework="np")
    chosen = _chosen(sorted(file.keys()), name, str(path))
    part = file.get_slice(chosen)
    if part.get_dtype() not in ("F16", "F32", "F64"):
        raise InputError(
            f"{path}: {chosen}: expected F16, F32 or F64, received {part.get_dtype()}: convert it, "
            "for example with tensor.float()"
        )
    return _Slices(part), chosen


class _Slices:
    """A tensor in a file of safetensors, as an array of which parts are read."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.shape = tuple(part.get_shape())

    def __getitem__(self, part: Any) -> np.ndarray:
        found: np.ndarray = self._part[part]
        return found


_READERS: dict[str, Callable[[Path, Shape, str | None], tuple[_Array, str]]] = {
    ".npy": _npy,
    ".npz": _npz,
    ".parquet": _parquet,
    ".zarr": _zarr,
    ".zarr.zip": _zarr,
    ".safetensors": _safetensors,
}


def _chosen(names: list[str], name: str | None, source: str) -> str:
    """The array that is meant: the one of this name, or the only one."""
    known = ", ".join(names[:12]) or "none"
    if name is not None and name not in names:
        raise InputError(f"{source}: expected an array {name!r}, found {known}")
    if name is None and len(names) != 1:
        raise InputError(f"{source}: holds several arrays ({known}): choose one with --name")
    return name if name is not None else names[0]


def _not_installed(path: Path, package: str) -> InputError:
    return InputError(f"{path}: {package} is not installed: pip install 'tfmem[scores]'")


@contextmanager
def _refused(source: str) -> Iterator[None]:
    """Turns what libraries raise about a file into one error, each has errors of its own."""
    try:
        yield
    except InputError:
        raise
    except (MemoryError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise InputError(f"{source}: cannot be read: {reason(error)}") from None
