"""Text classification from local tables: TSV, CSV with named columns, or JSON lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import DatasetSettings, TextSettings
from tfmem.datasets.text import TextDataset, as_texts, check_classes
from tfmem.errors import InputError

_SUFFIXES = (".tsv", ".csv", ".jsonl")
_HELD_OUT = 0x68656C64  # keeps these random numbers apart from those of any trial


@dataclass(frozen=True)
class _Table:
    path: Path
    texts: np.ndarray
    labels: list[Any]


def load_text_files(folder: Path, settings: DatasetSettings) -> TextDataset:
    """Reads `train` and `dataset.test_split` of a folder, each a `.tsv`, `.csv` or `.jsonl` file.

    CSV is as spreadsheets write it, TSV without any quoting (as GLUE's). An example's index is its
    place among the records of its file. With `dataset.text.test_share`, that share of the training
    file, drawn at random but always the same, is the test set, both parts in the order of the file.

    Raises:
      InputError: naming the file, the record and the column that is missing or wrong.
    """
    text = settings.text or TextSettings()
    splits = ["train"] if text.test_share else ["train", settings.test_split]
    tables = [_read(_find(folder, split), text) for split in splits]
    class_names = text.class_names or _class_names([t for table in tables for t in table.labels])
    labels = [_labels(table, text.label, class_names) for table in tables]
    texts = [table.texts for table in tables]
    if text.test_share:
        drawn = np.random.PCG64(np.random.SeedSequence(_HELD_OUT)).random_raw(len(texts[0]))
        count = round(text.test_share * len(drawn))
        if not 0 < count < len(drawn):
            raise InputError(
                f"dataset.text.test_share: expected some of the {len(drawn)} examples and not all, "
                f"received {text.test_share}"
            )
        held_out = np.zeros(len(drawn), bool)
        held_out[np.argsort(drawn, kind="stable")[:count]] = True
        texts, labels = ([both[0][~held_out], both[0][held_out]] for both in (texts, labels))
    return check_classes(
        TextDataset(folder.name, texts[0], labels[0], texts[1], labels[1], tuple(class_names))
    )


def _find(folder: Path, split: str) -> Path:
    found = [path for s in _SUFFIXES if (path := folder / f"{split}{s}").is_file()]
    if len(found) != 1:
        names = ", ".join(f"{split}{suffix}" for suffix in _SUFFIXES)
        received = " and ".join(path.name for path in found) or "none of them"
        raise InputError(f"{folder}: expected one of {names}, received {received}")
    return found[0]


def _read(path: Path, settings: TextSettings) -> _Table:
    columns = [*settings.columns, settings.label]
    try:
        rows = _json_rows(path) if path.suffix == ".jsonl" else _table_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    for number, row in enumerate(rows):
        for key, column in zip(("columns",) * len(settings.columns) + ("label",), columns):  # noqa: B905
            if column not in row:
                raise InputError(
                    f"{path}: dataset.text.{key}: expected one of {sorted(map(str, row))}, "
                    f"received {column!r} (record {number})"
                )
        for column in settings.columns:
            if not isinstance(row[column], str):
                raise InputError(
                    f"{path}: record {number}: {column}: expected a text, received {row[column]!r}"
                )
        if row[settings.label] is None or not str(row[settings.label]).strip():
            raise InputError(
                f"{path}: record {number}: {settings.label}: expected a label, received "
                f"{row[settings.label]!r}"
            )
    texts = [[row[column] for column in settings.columns] for row in rows]
    return _Table(
        path, as_texts(texts, settings.columns, str(path)), [row[settings.label] for row in rows]
    )


def _table_rows(path: Path) -> list[dict[str, Any]]:
    separated: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    options = separated if path.suffix == ".tsv" else {"strict": True}
    csv.field_size_limit(2**31 - 1)  # texts of any length
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file, **options) if row] or [[]]
    if not header:
        raise InputError(f"{path}: expected a header and records, received nothing")
    for number, row in enumerate(rows):
        if len(row) != len(header):
            raise InputError(
                f"{path}: record {number}: expected {len(header)} columns, as in the header, "
                f"received {len(row)}, the last of them {row[-1]!r}; texts with a separator or a "
                "line break go in double quotes, in .csv"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _json_rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n")):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{path}: line {number + 1}: not JSON: {error.msg}") from None
        if not isinstance(row, dict):
            raise InputError(f"{path}: line {number + 1}: expected an object, received {row!r}")
        rows.append(row)
    return rows


def _number(value: Any) -> int | None:
    """The class number that a label is, if it is one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip()
    return int(text) if text.removeprefix("-").isdecimal() and text.isascii() else None


def _class_names(values: Sequence[Any]) -> list[str]:
    """Numbers from 0 to the largest if labels are numbers, else all labels, sorted."""
    numbers = [_number(value) for value in values]
    known = [number for number in numbers if number is not None]
    if len(known) == len(values):
        return [str(number) for number in range(max(known) + 1)]
    return sorted({str(value).strip() for value in values})


def _labels(table: _Table, column: str, names: Sequence[str]) -> np.ndarray:
    labels = []
    for record, value in enumerate(table.labels):
        name = str(value).strip()
        number = names.index(name) if name in names else _number(value)
        if number is None or not 0 <= number < len(names):
            raise InputError(
                f"{table.path}: record {record}: {column}: expected one of {', '.join(names)} or "
                f"its number from 0 to {len(names) - 1}, received {value!r}"
            )
        labels.append(number)
    return np.array(labels, np.int64)
