"""A data set from what a user has in memory: arrays, tables, and what yields batches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config.steps import TaskName
from tfmem.datasets.cache import cache_folder
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.given_inputs import (
    Inputs,
    check_alike,
    count_of,
    is_table,
    none_of,
    read_inputs,
    rows_of,
)
from tfmem.datasets.passes import arrays_of, is_source
from tfmem.datasets.structured import ALONE, StructuredDataset
from tfmem.datasets.targets import read_targets
from tfmem.messages.errors import InputError

_FORMS = (
    "a pair (inputs, targets) of arrays, a pandas DataFrame with label='column', a "
    "tf.data.Dataset, a keras.utils.PyDataset, or an object with len(…) whose items are pairs"
)


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
    folder: Path | None = None,
) -> Dataset | StructuredDataset:
    """A data set from examples in memory, or in a form that yields them.

    Inputs are an array `[n, ...]`, several such arrays, by name or in a tuple or list, the path of
    an npy file, or a DataFrame: numeric columns alone become one array `[n, columns]`, with other
    columns each becomes an input by its name (numbers as float32, everything else as strings, where
    missing values are empty). Memory maps stay memory maps, and the inputs of what yields examples
    become memory maps, so that data may be larger than memory; targets and texts are held in it.

    Args:
      name: the data set's name.
      train: training examples: a pair of inputs and targets, a DataFrame with `label`, a finite
        `tf.data.Dataset`, a `keras.utils.PyDataset`, or an object with a length whose items are
        examples.
      test: test examples in the same form; None if there are none.
      label: the column of a DataFrame that holds the targets, or their name where examples are
        dictionaries.
      task: what targets are; `auto` takes what they look like (see `read_targets`).
      ids: the user's own names of the training examples; None takes the index of a DataFrame if it
        has names.
      test_ids: those of the test examples.
      class_names: names of the classes, in the order of their numbers.
      folder: receives, in files without names, inputs that are too large for memory and must be
        converted; None is the cache.

    Raises:
      InputError: if the examples are in no such form, or their parts do not fit each other.
    """
    folder = folder or cache_folder()
    (inputs, targets), index = _parts(train, label, "train", folder)
    if test is None:
        test_inputs, test_targets, test_index = none_of(inputs), np.zeros(0), None
    else:
        (test_inputs, test_targets), test_index = _parts(test, label, "test", folder)
    check_alike(inputs, test_inputs)
    for split, some, goals in (("train", inputs, targets), ("test", test_inputs, test_targets)):
        if not np.ndim(goals):
            raise InputError(
                f"{split}: expected a target for each example, received a single value"
            )
        if count_of(some, split) != len(goals):
            raise InputError(
                f"{split}: expected as many targets as examples, {count_of(some, split):,}, "
                f"received {len(goals):,}"
            )
    if not len(targets):
        raise InputError("train: expected at least one example, received none")
    known = read_targets(targets, test_targets, task, class_names)
    names = [
        read_ids(given, own, count_of(some, split), split)
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
    rows, test_rows = rows_of(inputs, kept[0]), rows_of(test_inputs, kept[1])
    labels = known.labels
    arrays = [part for part in (rows, test_rows) if isinstance(part, np.ndarray)]
    if len(arrays) == 2 and arrays[0].dtype.kind in "biuf":
        one, other = arrays
        return Dataset(name, one, labels[0], other, labels[1], known.class_names, white=1, **more)
    named, test_named = _by_name(rows), _by_name(test_rows)
    return StructuredDataset(
        name, named, labels[0], test_named, labels[1], known.class_names, **more
    )


def _parts(
    given: Any, label: str | None, split: str, folder: Path
) -> tuple[tuple[Inputs, Any], Any]:
    """Inputs and targets of a split, and the index of its table if that has names."""
    if is_table(given):
        if label is None or label not in given:
            raise InputError(
                f"{split}: expected label= to name the column of the targets, one of "
                f"{', '.join(map(str, given.columns[:20]))}, received {label!r}"
            )
        inputs = read_inputs(given.drop(columns=label), split, folder)
        return (inputs, given[label]), _names(given.index)
    if is_source(given):
        found, targets = arrays_of(given, split, label, folder)
        return (read_inputs(found, split, folder), targets), None
    if isinstance(given, tuple | list) and len(given) == 2:
        index = _names(given[0].index) if is_table(given[0]) else None
        count = len(given[1]) if np.ndim(given[1]) else None
        return (read_inputs(given[0], split, folder, count), given[1]), index
    received = type(given).__name__
    if isinstance(given, tuple | list):
        received += f" of {len(given)}"
    raise InputError(f"{split}: expected {_FORMS}, received {received}")


def _names(index: Any) -> np.ndarray | None:
    """The names of a table's rows; None if they are numbers."""
    values = index.to_numpy()
    return None if values.dtype.kind in "iu" else values.astype(np.str_)


def _by_name(inputs: Inputs) -> dict[str, np.ndarray]:
    """Inputs by name; models take an array of strings alone without one."""
    return {ALONE: inputs} if isinstance(inputs, np.ndarray) else inputs


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
