"""Converts labels to class numbers: names, numbers from any value, or whole floats."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError

_WHOLE = re.compile(r"-?[0-9]{1,15}(\.0*)?", re.ASCII)
_LISTED = 8
_LETTERS = 40
_DASH = "-"  # marks rows without a label in SNLI, but elsewhere the negative class beside "+"
_SIGNS = {"-1", "1"}  # labels of two classes, as support vector machines expect them


@dataclass(frozen=True)
class Column:
    """The labels of one split.

    Attributes:
      where: file, and array or column, as messages name them.
      values: `[rows]`: numbers, strings, booleans, None.
      row: the word for a row in messages.
    """

    where: str
    values: np.ndarray | Sequence[Any]
    row: str = "example"


@dataclass(frozen=True)
class Classes:
    """Labels as class numbers.

    Attributes:
      names: one name for each class.
      kept: for each column, the rows that have a label, int64 ascending.
      numbers: for each column, the classes of those rows, int64.
      notes: sentences on the rows that were left out, and on how classes are numbered.
    """

    names: tuple[str, ...]
    kept: tuple[np.ndarray, ...]
    numbers: tuple[np.ndarray, ...]
    notes: tuple[str, ...]


def as_classes(
    columns: Sequence[Column],
    names: Sequence[str] | None,
    unlabelled: Collection[int | str],
    setting: str,
) -> Classes:
    """The class number of each label in `columns`.

    Without `names`, the classes are the distinct labels, in numerical order if all are whole
    numbers, else in alphabetical order. With `names`, a label is the name of a class or its number.
    Numbers start from 0, or from 1 if one label equals the number of names and no label is 0. If
    names are numbers, too, labels written as text are names if all of them are, and other labels
    are numbers from 0 if all of them can be.

    Args:
      columns: the labels of each split; the first column is that of training examples.
      names: names of the classes, in their order.
      unlabelled: labels that mark rows without a label; '' stands for empty, null and NaN.
      setting: the setting that names the classes, for messages.

    Raises:
      InputError: if labels are no classes, if rows have no label and `unlabelled` does not list
        their mark, or if test examples have a label that no training example has. The error names
        file and rows.
    """
    marks = {_plain(str(mark).strip()) for mark in unlabelled}
    coded = [_coded(column, marks) for column in columns]
    labels = {label for each in coded for label in each.labels if label is not None}
    whole = all(_WHOLE.fullmatch(label) for label in labels)
    if whole:
        coded = [each.plain() for each in coded]
        labels = {_plain(label) for label in labels}
    if "" in labels:
        raise InputError(
            f"{_places(coded, {''})}: expected a label, received none; "
            "dataset.unlabelled=[''] leaves such rows out"
        )
    if names is None:
        numbers = _by_value(coded, labels, whole, setting)
    else:
        numbers = _by_name(coded, labels, names, setting)
    notes = []
    if names is None and whole and set(numbers) != set(map(str, range(len(numbers)))):
        notes.append(
            f"labels are {listed(numbers)}: classes are numbered from 0 in their order, and have "
            "these names"
        )
    if names is None and _DASH in numbers and "+" not in numbers:
        notes.append(
            f"{_DASH!r} is a class; if it marks rows without a label, "
            f"dataset.unlabelled=[{_DASH!r}] leaves them out"
        )
    kept, classes = [], []
    for each in coded:
        found = np.array([-1 if label is None else numbers[label] for label in each.labels])
        number = found[each.places] if len(found) else np.zeros(0, np.int64)
        kept.append(np.flatnonzero(number >= 0))
        classes.append(number[kept[-1]].astype(np.int64))
        if left_out := len(number) - len(kept[-1]):
            if left_out == len(number):
                raise InputError(f"{each.column.where}: no {each.column.row} has a label")
            notes.append(
                f"{each.column.where}: left out {left_out:,} {each.column.row}"
                f"{'s' * (left_out != 1)} without a label"
            )
    return Classes(
        tuple(numbers if names is None else names), tuple(kept), tuple(classes), tuple(notes)
    )


@dataclass(frozen=True)
class _Coded:
    """A column as its distinct labels, and the place of each row's label among them.

    None is the label of unlabelled rows.
    """

    column: Column
    labels: list[str | None]
    places: np.ndarray

    def plain(self) -> _Coded:
        """Writes all whole numbers in the same way, such as `1` for `1.0`."""
        labels = [None if label is None else _plain(label) for label in self.labels]
        return _Coded(self.column, labels, self.places)

    def rows(self, wanted: Collection[str]) -> str:
        """The numbers of the rows whose label is in `wanted`, as text."""
        codes = [code for code, label in enumerate(self.labels) if label in wanted]
        found = np.flatnonzero(np.isin(self.places, codes))
        more = f" and {len(found) - _LISTED:,} more" if len(found) > _LISTED else ""
        return f"{self.column.row} {', '.join(map(str, found[:_LISTED].tolist()))}{more}"


def _coded(column: Column, marks: Collection[str]) -> _Coded:
    values = column.values
    if isinstance(values, np.ndarray):
        distinct, places = np.unique(values, return_inverse=True)
        found = distinct.tolist()
    else:
        index: dict[tuple[type, str], int] = {}
        found, codes = [], []
        for value in values:
            key = type(value), _said(value)
            if key not in index:
                index[key] = len(found)
                found.append(value)
            codes.append(index[key])
        places = np.array(codes, np.int64)
    labels = [_text(value) for value in found]
    if wrong := {_said(v) for v, label in zip(found, labels, strict=True) if label is None}:
        said = _Coded(column, [_said(value) for value in found], places)
        raise InputError(
            f"{column.where}: {said.rows(wrong)}: expected classes, as names or whole numbers, "
            f"received {listed(sorted(wrong))}"
        )
    known = [None if _plain(label or "") in marks else label for label in labels]
    return _Coded(column, known, places)


def _said(value: Any) -> str:
    return type(value).__name__ if isinstance(value, list | dict) else str(value)


def _text(value: Any) -> str | None:
    """A label as text; None if the value cannot be a label."""
    if value is None or isinstance(value, str):
        return (value or "").strip()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return ""
        return str(int(value)) if value.is_integer() else None
    return None


def _plain(label: str) -> str:
    """Writes a whole number as `1`, and leaves other labels as they are."""
    return str(int(label.partition(".")[0])) if _WHOLE.fullmatch(label) else label


def _by_value(
    coded: Sequence[_Coded], labels: set[str], whole: bool, setting: str
) -> dict[str, int]:
    """The number of each label, if the distinct labels are the classes."""
    negative = {label for label in labels if label.startswith("-")} if whole else set()
    if negative and labels != _SIGNS:
        raise InputError(
            f"{_places(coded, negative)}: expected labels from 0, received "
            f"{listed(sorted(negative))}; if that marks rows without a label, "
            f"dataset.unlabelled=[{min(negative)}] leaves them out; if it is a class, {setting} "
            "names all classes"
        )
    if strangers := labels.difference(coded[0].labels):
        raise InputError(
            f"{_places(coded, strangers)}: expected a label that training examples have, received "
            f"{listed(sorted(strangers))}. Labels found: {_found(coded)}. {setting} names the "
            "classes, dataset.unlabelled leaves rows out by their label"
        )
    ordered = sorted(labels, key=int) if whole else sorted(labels)
    return {label: number for number, label in enumerate(ordered)}


def _by_name(
    coded: Sequence[_Coded], labels: set[str], names: Sequence[str], setting: str
) -> dict[str, int]:
    """The number of each label, if the classes have names."""
    known = {name: number for number, name in enumerate(names)}
    first = int(str(len(names)) in labels and "0" not in labels)
    by_number = {str(number + first): number for number in range(len(names))}
    written = all(np.asarray(each.column.values).dtype.kind in "OUST" for each in coded)
    if labels <= by_number.keys() and not (written and labels <= known.keys()):
        known = by_number  # names may be numbers, too: with classes 1 and 7, label 1 means class 7
    known = {**by_number, **known}
    numbers = {label: known.get(label, known.get(_plain(label), -1)) for label in labels}
    if wrong := {label for label, number in numbers.items() if number < 0}:
        raise InputError(
            f"{_places(coded, wrong)}: expected one of {listed(names)} ({setting}), or its number "
            f"from 0 to {len(names) - 1}, received {listed(sorted(wrong))}. Labels found: "
            f"{_found(coded)}. dataset.unlabelled leaves rows out by their label"
        )
    return numbers


def _found(coded: Sequence[_Coded]) -> str:
    """The distinct labels of each column, as text."""
    labels = ({label for label in each.labels if label is not None} for each in coded)
    return "; ".join(
        f"{os.path.basename(each.column.where)}: {listed(sorted(found))}"
        for each, found in zip(coded, labels, strict=True)
    )


def _places(coded: Sequence[_Coded], wanted: Collection[str]) -> str:
    """The files and rows of the labels in `wanted`, as text."""
    return "; ".join(
        f"{each.column.where}: {each.rows(wanted)}"
        for each in coded
        if not set(wanted).isdisjoint(each.labels)
    )


def listed(labels: Collection[str]) -> str:
    """The first of some labels as text, and how many more there are."""
    shown = [repr(label[:_LETTERS]) for label, _ in zip(labels, range(_LISTED), strict=False)]
    return ", ".join(shown) + (
        f" and {len(labels) - _LISTED:,} more" if len(labels) > _LISTED else ""
    )
