"""Examples from what yields batches (`tf.data.Dataset`, `keras.utils.PyDataset`), or one by one.

An example's index is its place in the order of batches. Two passes must therefore give the same.
The first pass writes inputs to disk, the second compares, so that no pass holds all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.datasets.dataset import add_array
from tfmem.datasets.growing import GrowingArray
from tfmem.datasets.structured import place_name
from tfmem.messages.errors import InputError

Named = dict[str | None, np.ndarray]  # an array alone has the name None


def is_source(value: Any) -> bool:
    """Whether a value yields batches, or single examples by their number, as PyTorch's do.

    Args:
      value: what a user gave as examples.
    """
    if hasattr(value, "element_spec"):
        return True
    is_array = isinstance(value, tuple | list | str | bytes | Mapping) or hasattr(value, "shape")
    return not is_array and hasattr(value, "__getitem__") and hasattr(value, "__len__")


def arrays_of(
    source: Any, split: str, label: str | None, folder: Path
) -> tuple[np.ndarray | dict[str, np.ndarray], np.ndarray]:
    """Inputs and targets of all examples, in order: arrays, or arrays by name.

    Inputs of numbers are memory maps; targets and texts are in memory.

    Args:
      source: a finite `tf.data.Dataset`, batched or not, a `keras.utils.PyDataset`, or an object
        that gives the example of a number, `source[k]`, and their count, `len(source)`.
      split: what the source is called in errors.
      label: the name of the targets, where examples are dictionaries.
      folder: receives the inputs, in files without names.

    Raises:
      InputError: if the source is infinite, yields something else than pairs, or gives other
        examples in a second pass.
    """
    passes = _passes(source, split, label)
    inputs: dict[str | None, GrowingArray] = {}
    targets = []
    first, again = hashlib.sha256(), hashlib.sha256()
    for named, goals in passes():
        if not inputs:
            inputs = {
                name: GrowingArray(folder, split if name is None else f"{split}: {name}")
                for name in named
            }
        if named.keys() != inputs.keys():
            raise InputError(
                f"{split}: expected the inputs {list(inputs)} of every example, received "
                f"{list(named)}"
            )
        _add(first, named, goals)
        targets.append(np.atleast_1d(goals))
        for name, values in named.items():
            inputs[name].append(_plain(values, f"{split}: {name}" if name else split))
    if not targets:
        raise InputError(f"{split}: expected at least one example, received none")
    for named, goals in passes():
        _add(again, named, goals)
    if first.digest() != again.digest():
        raise InputError(
            f"{split}: two passes gave different examples, or another order: an example needs an "
            "index that stays. Shuffle with shuffle(…, reshuffle_each_iteration=False) or not at "
            "all, and augment within the model"
        )
    arrays = {name: growing.array() for name, growing in inputs.items()}
    found = arrays[None] if None in arrays else {str(name): v for name, v in arrays.items()}
    return found, _joined(targets, split)


def _joined(targets: list[np.ndarray], split: str) -> np.ndarray:
    try:
        return np.concatenate(targets)
    except ValueError:
        shapes = sorted({str(list(part.shape[1:])) for part in targets})
        raise InputError(
            f"{split}: expected targets of one shape, received {' and '.join(shapes[:4])}"
        ) from None


def _passes(
    source: Any, split: str, label: str | None
) -> Callable[[], Iterator[tuple[Named, np.ndarray]]]:
    if hasattr(source, "element_spec"):
        if int(source.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
            raise InputError(
                f"{split}: expected a finite data set, received one that repeats for ever"
            )
        alone = not _is_batched(source.element_spec, split, label)
        return lambda: (_pair(element, split, label, alone) for element in _numpy(source))
    batches = getattr(source, "num_batches", -1)  # Keras' data sets have batches
    if batches is None:
        raise InputError(f"{split}: expected a finite data set, received one of unknown length")
    count = len(source) if batches == -1 else batches
    return lambda: (_pair(source[k], split, label, batches == -1) for k in range(count))


def _numpy(source: Any) -> Iterable[Any]:
    found: Iterable[Any] = source.as_numpy_iterator()
    return found


def _is_batched(spec: Any, split: str, label: str | None) -> bool:
    """Whether elements are batches: inputs and targets have the same first axis, open or fixed."""
    inputs, targets = _parts(spec, split, label)
    first = next(iter(_by_name(inputs).values()))
    shapes = first.shape, targets.shape
    if any(shape.rank in (None, 0) for shape in shapes):
        return False
    return bool(shapes[0][0] == shapes[1][0])


def _parts(element: Any, split: str, label: str | None) -> tuple[Any, Any]:
    """Inputs and targets of an element: a pair, or a dictionary that holds the label."""
    if isinstance(element, Mapping):
        if label is None or label not in element:
            raise InputError(
                f"{split}: expected pairs of inputs and targets, or label= to name the targets "
                f"among {', '.join(map(str, element))}, received label={label!r}"
            )
        inputs = {name: value for name, value in element.items() if name != label}
        return (next(iter(inputs.values())) if len(inputs) == 1 else inputs), element[label]
    if not isinstance(element, tuple | list) or len(element) < 2:
        raise InputError(
            f"{split}: expected pairs of inputs and targets, received {type(element).__name__}"
        )
    if len(element) > 2:
        raise InputError(
            f"{split}: expected pairs of inputs and targets, received {len(element)} parts: give "
            "sample weights by fit_arguments={'sample_weight': …}"
        )
    return element[0], element[1]


def _by_name(inputs: Any) -> dict[str | None, Any]:
    if isinstance(inputs, Mapping):
        return {str(name): values for name, values in inputs.items()}
    are_arrays = isinstance(inputs, list) and all(np.ndim(values) for values in inputs)
    if isinstance(inputs, tuple) or are_arrays:
        return {place_name(place): values for place, values in enumerate(inputs)}
    return {None: inputs}


def _pair(element: Any, split: str, label: str | None, alone: bool) -> tuple[Named, np.ndarray]:
    inputs, targets = _parts(element, split, label)
    named = {name: _batch(values, alone) for name, values in _by_name(inputs).items()}
    return named, _batch(targets, alone)


def _batch(value: Any, alone: bool) -> np.ndarray:
    found = np.asarray(value)
    return found[None] if alone else found


def _plain(values: np.ndarray, where: str) -> np.ndarray:
    if not values.ndim or values.dtype.kind not in "biufUSTO":
        raise InputError(
            f"{where}: expected numbers or strings [examples, ...], received {values.dtype} "
            f"{list(values.shape)}"
        )
    return values


def _add(digest: hashlib._Hash, named: Named, targets: np.ndarray) -> None:
    for array in (*named.values(), targets):
        if array.dtype == object:
            digest.update(repr(array.tolist()).encode())
        else:
            add_array(digest, array)
