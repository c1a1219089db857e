"""Inputs of examples in the forms in which people have them, as arrays or arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.datasets.growing import copied_in_blocks, is_mapped
from tfmem.datasets.structured import place_name
from tfmem.messages.errors import InputError
from tfmem.store.npz import map_npy

Inputs = np.ndarray | dict[str, np.ndarray]
_NUMBERS = "biuf"


def is_table(value: Any) -> bool:
    """Whether a value is a DataFrame of pandas."""
    return hasattr(value, "columns") and hasattr(value, "iloc")


def read_inputs(given: Any, split: str, folder: Path, count: int | None = None) -> Inputs:
    """Inputs of examples: an array `[n, ...]`, or such arrays by name.

    Several arrays without names are called `[0]`, `[1]`, and so on. Columns of numbers alone become
    one array.

    Args:
      given: an array, the path of an npy file, a DataFrame, a dictionary of arrays, or a tuple or
        list of arrays.
      split: what errors call it.
      folder: receives what is too large for memory and has to be converted.
      count: number of examples, if it is known; a list of arrays of another length than this is a
        list of examples.

    Raises:
      InputError: if it is in no such form.
    """
    if is_table(given):
        columns = {str(name): _column(given[name], f"{split}: {name}") for name in given.columns}
        if columns and all(values.dtype.kind == "f" for values in columns.values()):
            return np.stack(list(columns.values()), axis=1)
        return columns
    if isinstance(given, Mapping):
        return {
            str(name): _array(values, f"{split}: {name}", folder) for name, values in given.items()
        }
    if _are_arrays(given, count):
        return {
            (name := place_name(place)): _array(values, f"{split}: {name}", folder)
            for place, values in enumerate(given)
        }
    return _array(given, split, folder)


def _are_arrays(given: Any, count: int | None) -> bool:
    """Whether a value holds an array for each input, rather than one for each example."""
    if not isinstance(given, tuple | list) or not given:
        return False
    if not all(len(getattr(values, "shape", ())) for values in given):
        return False
    is_list_of_examples = isinstance(given, list) and len(given) == count
    return not is_list_of_examples or all(len(values) == count for values in given)


def _column(values: Any, where: str) -> np.ndarray:
    """A column of a table: float32 if it holds numbers, else strings."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "mM":
        raise InputError(f"{where}: expected numbers, categories or texts, received dates")
    if kind in _NUMBERS:
        return np.asarray(values.to_numpy(dtype=np.float32, na_value=np.nan))
    missing = values.isna().to_numpy()
    texts = values.astype(object).where(~missing, "").astype(str)
    return texts.to_numpy(dtype=object).astype(np.str_)


def _array(values: Any, where: str, folder: Path) -> np.ndarray:
    """Values as an array of numbers or strings; what lies on disk stays there."""
    if isinstance(values, str | Path):
        if not str(values).endswith(".npy"):
            raise InputError(f"{where}: expected the path of an npy file, received {str(values)!r}")
        values = map_npy(values, _NUMBERS)
    if _lies_elsewhere(values):
        values = copied_in_blocks(values, folder, where)
    found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if found.dtype == object or found.dtype.kind in "ST":
        try:
            found = np.array([_text(value) for value in found.flat]).reshape(found.shape)
        except (TypeError, UnicodeDecodeError):
            raise InputError(
                f"{where}: expected an array of numbers or strings, received {found.dtype} "
                f"{list(found.shape)}: do all examples have the same shape?"
            ) from None
    if not found.ndim or found.dtype.kind not in "biufU":
        raise InputError(
            f"{where}: expected numbers or strings [examples, ...], received {found.dtype} "
            f"{list(found.shape)}"
        )
    if found.dtype.kind == "U" or (found.dtype.isnative and found.dtype != np.float64):
        return found
    if is_mapped(found):
        return copied_in_blocks(found, folder, where)
    return found.astype(np.float32 if found.dtype == np.float64 else found.dtype.newbyteorder("="))


def _lies_elsewhere(values: Any) -> bool:
    """Whether a value is an array in a file, as those of h5py and zarr are, which slices read."""
    if isinstance(values, np.ndarray) or hasattr(values, "to_numpy") or hasattr(values, "numpy"):
        return False
    attributes = ("shape", "dtype", "ndim", "chunks", "__getitem__")
    return all(hasattr(values, name) for name in attributes) and values.dtype.kind in _NUMBERS


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def none_of(inputs: Inputs) -> Inputs:
    """Inputs of the same kinds and shapes of no example."""
    if isinstance(inputs, np.ndarray):
        return np.zeros((0, *inputs.shape[1:]), inputs.dtype)
    return {name: values[:0] for name, values in inputs.items()}


def count_of(inputs: Inputs, split: str) -> int:
    """The number of examples.

    Raises:
      InputError: if inputs have different ones, or there are none.
    """
    if isinstance(inputs, np.ndarray):
        return len(inputs)
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"{split}: expected inputs of one length, received {counts}")
    return next(iter(counts.values()))


def check_alike(train: Inputs, test: Inputs) -> None:
    """Checks that test inputs have the names and shapes of the training inputs.

    Raises:
      InputError: if they differ.
    """
    one, other = _shapes(train), _shapes(test)
    if one != other:
        raise InputError(f"test: expected inputs {one} as in training, received {other}")


def _shapes(inputs: Inputs) -> dict[str, list[int]]:
    if isinstance(inputs, np.ndarray):
        return {"array": list(inputs.shape[1:])}
    return {name: list(values.shape[1:]) for name, values in sorted(inputs.items())}


def rows_of(inputs: Inputs, kept: np.ndarray) -> Inputs:
    """The inputs of some examples; the arrays themselves if all examples are kept, in order."""
    if isinstance(inputs, np.ndarray):
        return inputs if np.array_equal(kept, np.arange(len(inputs))) else inputs[kept]
    return {name: rows_of(values, kept) for name, values in inputs.items()}  # type: ignore[misc]
