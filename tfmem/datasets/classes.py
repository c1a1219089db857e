"""A data set reduced to some of its classes."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfmem.datasets.streamed import AnyDataset
from tfmem.messages.errors import InputError


def keep_classes(dataset: AnyDataset, classes: Sequence[int | str]) -> AnyDataset:
    """Keeps the examples of `classes`, in both splits, and numbers these classes anew.

    An example's index becomes its rank among the kept examples, in index order.

    Args:
      dataset: the data set to reduce.
      classes: names of classes, or their numbers if no class has a number as its name; the first
        becomes class 0.

    Raises:
      InputError: if the data set does not have one of the classes, or one is given twice.
    """
    kept = [_number(entry, dataset) for entry in classes]
    if len(set(kept)) < len(kept):
        twice = next(number for number in kept if kept.count(number) > 1)
        raise InputError(
            f"dataset.classes: expected each class once, received class {twice} "
            f"({dataset.class_names[twice]}) more than once"
        )
    new_numbers = np.full(len(dataset.class_names), -1)
    new_numbers[kept] = np.arange(len(kept))
    train = new_numbers[dataset.train_labels]
    test = new_numbers[dataset.test_labels]
    return replace(
        dataset.keep(np.flatnonzero(train >= 0), np.flatnonzero(test >= 0)),
        train_labels=train[train >= 0],
        test_labels=test[test >= 0],
        class_names=tuple(dataset.class_names[number] for number in kept),
    )


def _number(entry: int | str, dataset: AnyDataset) -> int:
    names = dataset.class_names
    if str(entry) in names:  # classes of labels 1, 2, … have these names, whatever their numbers
        return names.index(str(entry))
    if isinstance(entry, str):
        close = difflib.get_close_matches(entry, names, n=3)
        hint = f"; close to it are {', '.join(close)}" if close else ""
        raise InputError(f"dataset.classes: {dataset.name} has no class {entry!r}{hint}")
    if entry < len(names):
        return entry
    raise InputError(
        f"dataset.classes: expected numbers below {len(names)}, the classes of {dataset.name}, "
        f"received {entry}"
    )
