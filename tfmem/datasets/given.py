"""A data set from what a user has in memory: arrays, tables, and what yields batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfmem.config.steps import TaskName
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.passes import arrays_of, is_source
from tfmem.datasets.structured import ALONE, StructuredDataset
from tfmem.datasets.targets import read_targets
from tfmem.messages.errors import InputError

_FORMS = (
    "a pair (inputs, targets) of arrays, a pandas DataFrame with label='column', a "
    "tf.data.Dataset or a keras.utils.PyDataset"
)

Inputs = np.ndarray | dict[str, np.ndarray]


def given_dataset(
    name: str,
    train: Any,
    test: Any = None,
    *,
    label: str | None = None,
    task: TaskName = "auto",
    ids: Sequence[Any] | None = None,
    test_ids: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> Dataset | StructuredDataset:
    """A data set from examples in memory.

    Inputs are an array `[n, ...]`, arrays `[n, ...]` by name, or a DataFrame: numeric columns alone
    become one array `[n, columns]`, with other columns each becomes an input by its name (numbers
    as float32, everything else as strings, where missing values are empty).

    Args:
      name: the data set's name.
      train: training examples: a pair of inputs and targets, a DataFrame with `label`, a finite
        `tf.data.Dataset`, or a `keras.utils.PyDataset`.
      test: test examples in the same form; None if there are none.
      label: the column of a DataFrame that holds the targets.
      task: what targets are; `auto` takes what they look like (see `read_targets`).
      ids: the user's own names of the training examples; None takes the index of a DataFrame if it
        has names.
      test_ids: those of the test examples.
      class_names: names of the classes, in the order of their numbers.

    Raises:
      InputError: if the examples are in no such form, or their parts do not fit each other.
    """
    (inputs, targets), index = _parts(train, label, "train")
    if test is None:
        test_inputs, test_targets, test_index = _none_of(inputs), np.zeros(0), None
    else:
        (test_inputs, test_targets), test_index = _parts(test, label, "test")
    _check_alike(inputs, test_inputs)
    for split, some, goals in (("train", inputs, targets), ("test", test_inputs, test_targets)):
        if not np.ndim(goals):
            raise InputError(
                f"{split}: expected a target for each example, received a single value"
            )
        if _count(some, split) != len(goals):
            raise InputError(
                f"{split}: expected as many targets as examples, {_count(some, split):,}, "
                f"received {len(goals):,}"
            )
    if not len(targets):
        raise InputError("train: expected at least one example, received none")
    known = read_targets(targets, test_targets, task, class_names)
    names = [
        read_ids(given, own, _count(some, split), split)
        for given, own, some, split in (
            (ids, index, inputs, "ids"),
            (test_ids, test_index, test_inputs, "test_ids"),
        )
    ]
    kept = known.kept
    more: dict[str, Any] = {
        "notes": known.notes,
        "has_classes": known.has_classes,
        "train_ids": None if names[0] is None else names[0][kept[0]],
        "test_ids": None if names[1] is None else names[1][kept[1]],
        "train_targets": None if known.targets is None else known.targets[0],
        "test_targets": None if known.targets is None else known.targets[1],
    }
    rows, test_rows = _rows(inputs, kept[0]), _rows(test_inputs, kept[1])
    labels = known.labels
    arrays = [part for part in (rows, test_rows) if isinstance(part, np.ndarray)]
    if len(arrays) == 2 and arrays[0].dtype.kind in "biuf":
        one, other = arrays
        return Dataset(name, one, labels[0], other, labels[1], known.class_names, white=1, **more)
    named, test_named = _by_name(rows), _by_name(test_rows)
    return StructuredDataset(
        name, named, labels[0], test_named, labels[1], known.class_names, **more
    )


def _parts(given: Any, label: str | None, split: str) -> tuple[tuple[Inputs, Any], Any]:
    """Inputs and targets of a split, and the index of its table if that has names."""
    if is_source(given):
        inputs, targets = arrays_of(given, split)
        return (_inputs(inputs, split), targets), None
    if _is_table(given):
        if label is None or label not in given:
            raise InputError(
                f"{split}: expected label= to name the column of the targets, one of "
                f"{', '.join(map(str, given.columns[:20]))}, received {label!r}"
            )
        return (_inputs(given.drop(columns=label), split), given[label]), _names(given.index)
    if isinstance(given, tuple | list) and len(given) == 2:
        index = _names(given[0].index) if _is_table(given[0]) else None
        return (_inputs(given[0], split), given[1]), index
    received = type(given).__name__
    if isinstance(given, tuple | list):
        received += f" of {len(given)}"
    raise InputError(f"{split}: expected {_FORMS}, received {received}")


def _is_table(value: Any) -> bool:
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _names(index: Any) -> np.ndarray | None:
    """The names of a table's rows; None if they are numbers."""
    values = index.to_numpy()
    return None if values.dtype.kind in "iu" else values.astype(np.str_)


def _inputs(given: Any, split: str) -> Inputs:
    if _is_table(given):
        columns = {str(name): _column(given[name], f"{split}: {name}") for name in given.columns}
        if columns and all(values.dtype.kind == "f" for values in columns.values()):
            return np.stack(list(columns.values()), axis=1)
        return columns
    if isinstance(given, Mapping):
        return {str(name): _array(values, f"{split}: {name}") for name, values in given.items()}
    return _array(given, split)


def _column(values: Any, where: str) -> np.ndarray:
    """A column of a table: float32 if it holds numbers, else strings."""
    kind = getattr(values.dtype, "kind", "O")
    if kind in "mM":
        raise InputError(f"{where}: expected numbers, categories or texts, received dates")
    if kind in "biuf":
        return np.asarray(values.to_numpy(dtype=np.float32, na_value=np.nan))
    missing = values.isna().to_numpy()
    texts = values.astype(object).where(~missing, "").astype(str)
    return texts.to_numpy(dtype=object).astype(np.str_)


def _array(values: Any, where: str) -> np.ndarray:
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
    return found.astype(np.float32) if found.dtype == np.float64 else found


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _by_name(inputs: Inputs) -> dict[str, np.ndarray]:
    """Inputs by name; models take an array of strings alone without one."""
    return {ALONE: inputs} if isinstance(inputs, np.ndarray) else inputs


def _none_of(inputs: Inputs) -> Inputs:
    if isinstance(inputs, np.ndarray):
        return inputs[:0]
    return {name: values[:0] for name, values in inputs.items()}


def _count(inputs: Inputs, split: str) -> int:
    if isinstance(inputs, np.ndarray):
        return len(inputs)
    counts = {name: len(values) for name, values in inputs.items()}
    if len(set(counts.values())) != 1:
        raise InputError(f"{split}: expected inputs of one length, received {counts}")
    return next(iter(counts.values()))


def _check_alike(train: Inputs, test: Inputs) -> None:
    """Checks that test inputs have the names and shapes of the training inputs."""
    one, other = _shapes(train), _shapes(test)
    if one != other:
        raise InputError(f"test: expected inputs {one} as in training, received {other}")


def _shapes(inputs: Inputs) -> dict[str, list[int]]:
    if isinstance(inputs, np.ndarray):
        return {"array": list(inputs.shape[1:])}
    return {name: list(values.shape[1:]) for name, values in sorted(inputs.items())}


def read_ids(
    given: Sequence[Any] | None, own: np.ndarray | None, count: int, name: str
) -> np.ndarray | None:
    """A user's names of some examples, str `[count]`, or None if there are none.

    Args:
      given: the names.
      own: those that the examples have themselves, which are taken in place of none.
      count: number of examples.
      name: what errors call the names.

    Raises:
      InputError: if there are more names or fewer than examples.
    """
    if given is None:
        return own
    found = np.array([str(each) for each in given], np.str_)
    if len(found) != count:
        raise InputError(
            f"{name}: expected one for each of {count:,} examples, received {len(found):,}"
        )
    return found


def _rows(inputs: Inputs, kept: np.ndarray) -> Inputs:
    if isinstance(inputs, np.ndarray):
        return inputs if len(kept) == len(inputs) else inputs[kept]
    return {name: _rows(values, kept) for name, values in inputs.items()}  # type: ignore[misc]
