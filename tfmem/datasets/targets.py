"""What models are trained to predict, from targets in any form in which people have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmem.config.steps import TaskName
from tfmem.datasets.labels import Column, as_classes
from tfmem.messages.errors import InputError
from tfmem.store.labels import WITHOUT_CLASSES

_FEW = 20  # different whole numbers that are taken for classes if they are floats

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Known:
    """Targets of both splits, training first.

    Attributes:
      labels: int64 `[examples]`, classes; 0 for all if there are none.
      class_names: one name for each class.
      targets: `[examples, ...]`, what models are trained to predict; None if that is the label.
      has_classes: whether labels are classes.
      kept: int64, the rows that have a label.
      notes: sentences on what was taken for what.
    """

    labels: Pair
    class_names: tuple[str, ...]
    targets: Pair | None
    has_classes: bool
    kept: Pair
    notes: tuple[str, ...] = ()


def read_targets(
    train: Any, test: Any, task: TaskName = "auto", class_names: Sequence[str] | None = None
) -> Known:
    """Targets of both splits as a task takes them.

    With `auto`, strings, truth values and whole numbers `[n]` or `[n, 1]` are classes, unless they
    are floats with more than 20 different values or have fewer than two examples a value on
    average; other numbers are a regression's. `[n, k]` of 0 and 1 are classes if each row has one
    1, and else labels of which several may hold; other integers `[n, length]` are sequences of
    classes.

    Args:
      train: targets of the training examples.
      test: targets of the test examples.
      task: what they are, or `auto`.
      class_names: names of the classes in their order; None takes the labels that there are.

    Raises:
      InputError: if targets are of no such form, or the splits differ in theirs.
    """
    pair = _array(train, "train"), _array(test, "test")
    if pair[0].shape[1:] != pair[1].shape[1:] and len(pair[1]):
        raise InputError(
            f"test targets: expected shape {list(pair[0].shape[1:])} as in training, received "
            f"{list(pair[1].shape[1:])}"
        )
    if not len(pair[1]):
        pair = pair[0], pair[0][:0]
    name = _kind(pair[0]) if task == "auto" else task
    if pair[0].ndim > 1 and pair[0].shape[1:] == (1,) and name != "sequence":
        pair = pair[0][:, 0], pair[1][:, 0]
    if name in ("classes", "binary"):
        return _classes(pair, class_names, task)
    zeros = np.zeros(len(pair[0]), np.int64), np.zeros(len(pair[1]), np.int64)
    every = np.arange(len(pair[0])), np.arange(len(pair[1]))
    targets, note = _others(pair, name)
    if task == "auto":
        note += "; task= says what else they are (classes, regression, multi_label, sequence)"
    return Known(zeros, WITHOUT_CLASSES, targets, False, every, (note,))


def _array(values: Any, split: str) -> np.ndarray:
    found = values.to_numpy() if hasattr(values, "to_numpy") else np.asarray(values)
    if not found.ndim:
        raise InputError(f"{split}: expected a target for each example, received one value")
    if found.dtype == object and all(isinstance(value, str | None) for value in found.flat):
        found = np.array([value or "" for value in found.flat], np.str_).reshape(found.shape)
    if found.dtype.kind == "T":
        found = found.astype(np.str_)
    if found.dtype.kind not in "biufUO":
        raise InputError(
            f"{split} targets: expected numbers, truth values or strings, received {found.dtype}"
        )
    return found


def _kind(values: np.ndarray) -> TaskName:
    one = values.ndim == 1 or values.shape[1:] == (1,)
    if values.dtype.kind in "bUO":
        return "classes" if one or values.dtype.kind != "b" else _of_bits(values)
    if one:
        distinct = np.unique(values[~np.isnan(values)] if values.dtype.kind == "f" else values)
        whole = values.dtype.kind in "iu" or bool((distinct == np.round(distinct)).all())
        few = values.dtype.kind in "iu" or len(distinct) <= _FEW
        return "classes" if whole and few and 2 * len(distinct) <= len(values) else "regression"
    if bool(np.isin(values, (0, 1)).all()):
        return _of_bits(values)
    return "sequence" if values.dtype.kind in "iu" else "regression"


def _of_bits(values: np.ndarray) -> TaskName:
    is_one_hot = values.ndim == 2 and bool((values.sum(axis=1) == 1).all())
    return "classes" if is_one_hot else "multi_label"


def _classes(pair: Pair, class_names: Sequence[str] | None, task: TaskName) -> Known:
    one_hot = None
    if pair[0].ndim == 2:
        one_hot = _one_hot(pair[0], "train"), _one_hot(pair[1], "test")
        if class_names is None:
            class_names = [str(number) for number in range(pair[0].shape[1])]
        pair = one_hot[0].argmax(axis=1), one_hot[1].argmax(axis=1)
    if pair[0].ndim != 1:
        raise InputError(
            f"targets: expected classes [examples] or one-hot [examples, classes], received "
            f"{list(pair[0].shape)}"
        )
    columns = [Column(f"{split} targets", values if values.dtype != object else values.tolist())
               for split, values in zip(("train", "test"), pair, strict=True)]  # fmt: skip
    found = as_classes(columns, class_names, (), "class_names=")
    notes = list(found.notes)
    if task == "auto" and pair[0].dtype.kind in "iuf" and len(found.names) > _FEW:
        notes.append(f"targets are taken for {len(found.names)} classes; task='regression' takes "
                     "them for numbers")  # fmt: skip
    labels = found.numbers[0], found.numbers[1]
    kept = found.kept[0], found.kept[1]
    if one_hot is not None:
        one_hot = one_hot[0][kept[0]], one_hot[1][kept[1]]
    return Known(labels, found.names, one_hot, True, kept, tuple(notes))


def _one_hot(values: np.ndarray, split: str) -> np.ndarray:
    wrong = np.flatnonzero((values.sum(axis=1) != 1) | ~np.isin(values, (0, 1)).all(axis=1))
    if len(wrong):
        raise InputError(
            f"{split} targets: expected one 1 in each row of classes, received "
            f"{values[wrong[0]].tolist()} for example {wrong[0]}; task='multi_label' takes labels "
            "of which several may hold"
        )
    return values.astype(np.float32)


def _others(pair: Pair, name: TaskName) -> tuple[Pair, str]:
    """Targets without classes as arrays of the type that stands for their task, and a note."""
    shape = f"{list(pair[0].shape[1:])} each" if pair[0].ndim > 1 else "a number each"
    if name == "multi_label":
        _check(pair, lambda v: np.isin(v, (0, 1)), "0 or 1 for each label")
        found = pair[0].astype(np.uint8), pair[1].astype(np.uint8)
        return found, f"targets are {pair[0].shape[1]} labels, of which several may hold"
    if name == "sequence":
        _check(pair, lambda v: v == np.round(v), "whole numbers")
        found = pair[0].astype(np.int32), pair[1].astype(np.int32)
        return found, f"targets are sequences of classes ({shape})"
    if pair[0].dtype.kind not in "biuf":
        raise InputError(f"train targets: expected numbers, received {pair[0].dtype}")
    _check(pair, np.isfinite, "finite numbers")
    found = pair[0].astype(np.float32), pair[1].astype(np.float32)
    return found, f"targets are numbers ({shape}), as for regression"


def _check(pair: Pair, good: Any, expected: str) -> None:
    for split, values in zip(("train", "test"), pair, strict=True):
        fine = good(values).reshape(len(values), -1).all(axis=1) if len(values) else np.ones(0)
        for example in np.flatnonzero(~fine.astype(bool))[:1]:
            raise InputError(
                f"{split} targets: expected {expected}, received "
                f"{np.asarray(values[example]).tolist()} for example {example}"
            )
