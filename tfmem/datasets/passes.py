"""Examples from what yields batches (`tf.data.Dataset`, `keras.utils.PyDataset`), as arrays.

An example's index is its place in the order of batches. Two passes must therefore give the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tfmem.datasets.dataset import add_array
from tfmem.messages.errors import InputError


def is_source(value: Any) -> bool:
    """Whether a value yields batches of inputs and targets.

    Args:
      value: what a user gave as examples.
    """
    return hasattr(value, "element_spec") or (
        hasattr(value, "__getitem__") and hasattr(value, "num_batches")
    )


def arrays_of(source: Any, split: str) -> tuple[Any, np.ndarray]:
    """Inputs and targets of all examples, in order: arrays, or arrays by name.

    Args:
      source: a finite `tf.data.Dataset`, batched or not, or a `keras.utils.PyDataset`.
      split: what the source is called in errors.

    Raises:
      InputError: if the source is infinite, yields something else than pairs, or gives other
        examples in a second pass.
    """
    passes = _passes(source, split)
    parts = list(passes())
    if not parts:
        raise InputError(f"{split}: expected at least one example, received none")
    again = hashlib.sha256()
    for inputs, targets in passes():
        _add(again, inputs, targets)
    first = hashlib.sha256()
    for inputs, targets in parts:
        _add(first, inputs, targets)
    if first.digest() != again.digest():
        raise InputError(
            f"{split}: two passes gave different examples, or another order: an example needs an "
            "index that stays. Shuffle with shuffle(…, reshuffle_each_iteration=False) or not at "
            "all, and augment within the model"
        )
    names = list(parts[0][0]) if isinstance(parts[0][0], Mapping) else None
    targets = np.concatenate([np.atleast_1d(part[1]) for part in parts])
    if names is None:
        return np.concatenate([part[0] for part in parts]), targets
    return {n: np.concatenate([part[0][n] for part in parts]) for n in names}, targets


def _passes(source: Any, split: str) -> Callable[[], Iterator[tuple[Any, np.ndarray]]]:
    if not hasattr(source, "element_spec"):
        return lambda: (_pair(source[k], split, False) for k in range(source.num_batches))
    if int(source.cardinality()) == -1:  # tf.data.INFINITE_CARDINALITY
        raise InputError(f"{split}: expected a finite data set, received one that repeats for ever")
    alone = not _is_batched(source.element_spec, split)
    return lambda: (_pair(element, split, alone) for element in _numpy(source))


def _numpy(source: Any) -> Iterable[Any]:
    found: Iterable[Any] = source.as_numpy_iterator()
    return found


def _is_batched(spec: Any, split: str) -> bool:
    """Whether elements are batches: inputs and targets have the same first axis, open or fixed."""
    if not isinstance(spec, tuple) or len(spec) < 2:
        raise InputError(f"{split}: expected pairs of inputs and targets, received {spec}")
    first = next(iter(spec[0].values())) if isinstance(spec[0], Mapping) else spec[0]
    shapes = first.shape, spec[1].shape
    if any(shape.rank in (None, 0) for shape in shapes):
        return False
    return bool(shapes[0][0] == shapes[1][0])


def _pair(element: Any, split: str, alone: bool) -> tuple[Any, np.ndarray]:
    if not isinstance(element, tuple | list) or len(element) < 2:
        raise InputError(f"{split}: expected pairs of inputs and targets")
    if len(element) > 2:
        raise InputError(
            f"{split}: expected pairs of inputs and targets, received {len(element)} parts: give "
            "sample weights by fit_arguments={'sample_weight': …}"
        )
    inputs, targets = element
    if isinstance(inputs, Mapping):
        return {name: _batch(value, alone) for name, value in inputs.items()}, _batch(
            targets, alone
        )
    return _batch(inputs, alone), _batch(targets, alone)


def _batch(value: Any, alone: bool) -> np.ndarray:
    found = np.asarray(value)
    return found[None] if alone else found


def _add(digest: hashlib._Hash, inputs: Any, targets: np.ndarray) -> None:
    arrays = inputs.values() if isinstance(inputs, Mapping) else [inputs]
    for array in (*arrays, targets):
        if array.dtype == object:
            digest.update(repr(array.tolist()).encode())
        else:
            add_array(digest, array)
