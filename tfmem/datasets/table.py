"""Data sets whose examples are rows of a table: standardized numbers, one-hot categories, texts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import DatasetSettings, TableSettings
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.labels import Column, as_classes
from tfmem.datasets.rows import Rows, check_columns, held_out, read_rows, rows_said
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError

_MISSING = {"", "na", "n/a", "nan", "null", "none", "?"}  # texts that stand for a missing number
_INDEX = "__index_level_0__"  # the column in which pandas keeps an index without a name
_COLUMNS = "columns"  # the input of all columns that hold no texts
_LARGEST = 1e30  # largest number; float64 still holds its square


def load_table(folder: Path, settings: DatasetSettings) -> Dataset | StructuredDataset:
    """Reads `train` and `dataset.test_split`, each a `.csv`, `.tsv`, `.jsonl` or `.parquet` file.

    Inputs are the columns that are neither the label nor left out, in the order of the training
    file. A column holds numbers if every training example has a number or nothing in it: it is
    scaled to mean 0 and standard deviation 1 over the training examples, missing numbers become 0,
    and if a training example lacks a number, a second column is 1 for missing numbers. Any other
    column holds categories: each value that a training example has becomes a column, which is 1 for
    the examples with that value. All training examples decide means, deviations and categories,
    whether they are in the subset of a trial or not. Columns of texts are inputs of their own, in
    which missing texts are empty.

    An example's index is its place among the records of its file that have a label.

    Raises:
      InputError: if records are wrong, or columns have too many values; the error names file,
        column and records.
    """
    table = settings.table or TableSettings()
    splits = ["train"] if table.test_share else ["train", settings.test_split]
    read = [read_rows(folder, split) for split in splits]
    named = [("dataset.table.label", table.label)]
    named += [("dataset.table.categories", name) for name in table.categories]
    named += [("dataset.table.leave_out", name) for name in table.leave_out]
    named += [("dataset.table.texts", name) for name in table.texts]
    named += [("dataset.table.ids", table.ids)] if table.ids else []
    for path, rows in read:
        if not rows:
            raise InputError(f"{path}: expected at least one example, received none")
        inputs = [(f"a column of {read[0][0].name}", name) for name in read[0][1][0]]
        check_columns(path, rows, [*named, *(pair for pair in inputs if pair[1] != table.label)])
    classes = as_classes(
        [Column(f"{path}: {table.label}", [r[table.label] for r in rows], "record")
         for path, rows in read],
        table.class_names,
        settings.unlabelled,
        "dataset.table.class_names",
    )  # fmt: skip
    kept = [[rows[i] for i in chosen] for (_, rows), chosen in zip(read, classes.kept, strict=True)]
    labels = list(classes.numbers)
    if table.test_share:
        tests = held_out(len(kept[0]), table.test_share, "dataset.table.test_share")
        kept = [[r for r, t in zip(kept[0], tests, strict=True) if t == test] for test in (0, 1)]
        labels = [labels[0][~tests], labels[0][tests]]
    paths = [read[0][0], read[-1][0]]
    columns = _columns(paths[0], kept[0], table)
    train, test = (
        np.concatenate([column.encode(rows, path) for column in columns], axis=1, dtype=np.float32)
        if columns
        else np.zeros((len(rows), 0), np.float32)
        for rows, path in zip(kept, paths, strict=True)
    )
    said = [column.said() for column in columns] + [f"{name} (texts)" for name in table.texts]
    ids = [_ids(rows, table) for rows in kept]
    more: dict[str, Any] = {
        "notes": (*classes.notes, f"inputs: {', '.join(said)}"),
        "train_ids": ids[0],
        "test_ids": ids[1],
    }
    if not table.texts:
        one, other = labels
        return Dataset(folder.name, train, one, test, other, classes.names, white=1, **more)
    named_inputs = [
        _with_texts(*pair, table.texts) for pair in zip((train, test), kept, strict=True)
    ]
    return StructuredDataset(
        folder.name, named_inputs[0], labels[0], named_inputs[1], labels[1], classes.names, **more
    )


def _with_texts(columns: np.ndarray, rows: Rows, texts: Sequence[str]) -> dict[str, np.ndarray]:
    """The inputs of examples, some of which are texts."""
    found = {_COLUMNS: columns} if columns.shape[1] else {}
    for name in texts:
        found[name] = np.array([_category(row[name]) for row in rows], np.str_)
    return found


def _ids(rows: Rows, table: TableSettings) -> np.ndarray | None:
    """The user's names of examples; None if there are none."""
    name = table.ids
    if name is None and rows and isinstance(rows[0].get(_INDEX), str):
        name = _INDEX
    return None if name is None else np.array([_category(row[name]) for row in rows], np.str_)


@dataclass(frozen=True)
class _Numbers:
    name: str
    mean: float
    deviation: float
    missing: int

    def encode(self, rows: Rows, path: Path) -> np.ndarray:
        """Standardized numbers `[rows, 1]`, or `[rows, 2]` if a column marks missing numbers."""
        values = [_number(row[self.name]) for row in rows]
        if wrong := [number for number, value in enumerate(values) if value is None]:
            raise InputError(
                f"{path}: {self.name}: expected numbers, as in all training examples, received "
                f"{str(rows[wrong[0]][self.name])[:40]!r} ({rows_said(wrong)})"
            )
        found = (np.array(values, np.float64) - self.mean) / self.deviation
        missing = np.isnan(found)
        columns = [np.where(missing, 0, found)] + [missing] * bool(self.missing)
        return np.stack(columns, axis=1)

    def said(self) -> str:
        """Name and kind of the column, with its count of missing numbers."""
        return f"{self.name} (number{f', {self.missing:,} missing' if self.missing else ''})"


@dataclass(frozen=True)
class _Categories:
    name: str
    values: tuple[str, ...]

    def encode(self, rows: Rows, path: Path) -> np.ndarray:
        """One-hot categories `[rows, values]`; a value that no training example has is all 0."""
        places = {value: place for place, value in enumerate(self.values)}
        found = np.array([places.get(_category(row[self.name]), -1) for row in rows])
        return found[:, None] == np.arange(len(places))

    def said(self) -> str:
        """Name and kind of the column, with its number of categories."""
        return f"{self.name} ({len(self.values)} categories)"


def _columns(path: Path, rows: Rows, settings: TableSettings) -> list[_Numbers | _Categories]:
    """The columns that are inputs of models, as the training examples `rows` decide them."""
    columns: list[_Numbers | _Categories] = []
    too_many: dict[str, int] = {}
    for name in rows[0]:
        unseen = (settings.label, settings.ids, _INDEX, *settings.leave_out, *settings.texts)
        if name in unseen:
            continue
        numbers = [_number(row[name]) for row in rows]
        if name not in settings.categories and None not in numbers:
            if (column := _standardized(name, np.array(numbers, np.float64))) is not None:
                columns.append(column)
            continue
        values = sorted({_category(row[name]) for row in rows})
        if len(values) > settings.most_categories:
            too_many[name] = len(values)
        columns.append(_Categories(name, tuple(values)))
    if too_many:
        listed = ", ".join(f"{name!r} ({count:,})" for name, count in too_many.items())
        raise InputError(
            f"{path}: expected at most {settings.most_categories} categories in a column "
            f"(dataset.table.most_categories), received {listed}; "
            f"dataset.table.leave_out={_quoted([*settings.leave_out, *too_many])} leaves them out; "
            "dataset.table.texts and dataset.table.ids say what else they are"
        )
    if not columns and not settings.texts:
        raise InputError(f"{path}: expected an input column whose values are not all the same")
    return columns


def _standardized(name: str, values: np.ndarray) -> _Numbers | None:
    """A column of numbers; None if all its numbers are the same."""
    known = values[~np.isnan(values)]
    if not len(known) or not (deviation := float(known.std())) > 0:
        return None
    return _Numbers(name, float(known.mean()), deviation, len(values) - len(known))


def _number(value: Any) -> float | None:
    """A value as a finite number; NaN if it is missing, None if it is no number."""
    if value is None or (isinstance(value, str) and value.strip().lower() in _MISSING):
        return math.nan
    if isinstance(value, bool | list | dict):
        return None
    try:
        number = float(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return number if math.isnan(number) or abs(number) < _LARGEST else None


def _category(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _quoted(names: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{name}'" for name in names) + "]"
