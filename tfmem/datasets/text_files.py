"""Text classification from local tables: TSV, CSV with named columns, or JSON lines."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import DatasetSettings, TextSettings
from tfmem.datasets.labels import Column, as_classes
from tfmem.datasets.text import TextDataset, as_texts, check_classes, rows_said
from tfmem.errors import InputError, reason

_SUFFIXES = (".tsv", ".csv", ".jsonl")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_HELD_OUT = 0x68656C64  # keeps these random numbers apart from those of any trial


@dataclass(frozen=True)
class _Table:
    texts: np.ndarray
    labels: Column

    def keep(self, rows: np.ndarray) -> np.ndarray:
        """The texts of some rows."""
        return self.texts if len(rows) == len(self.texts) else self.texts[rows]


def load_text_files(folder: Path, settings: DatasetSettings) -> TextDataset:
    """Reads `train` and `dataset.test_split` of a folder, each a `.tsv`, `.csv` or `.jsonl` file.

    CSV is as spreadsheets write it, TSV without any quoting (as GLUE's). An example's index is its
    place among the records of its file that have a label. With `dataset.text.test_share`, that
    share of the training file, drawn at random but always the same, is the test set, both parts in
    the order of the file.

    Raises:
      InputError: naming the file, the records and the column that is missing or wrong.
    """
    text = settings.text or TextSettings()
    splits = ["train"] if text.test_share else ["train", settings.test_split]
    tables = [_read(_find(folder, split), text) for split in splits]
    classes = as_classes(
        [table.labels for table in tables],
        text.class_names,
        settings.unlabelled,
        "dataset.text.class_names",
    )
    texts = [table.keep(rows) for table, rows in zip(tables, classes.kept, strict=True)]
    labels = list(classes.numbers)
    if text.test_share:
        held_out = _held_out(len(texts[0]), text.test_share)
        texts, labels = ([both[0][~held_out], both[0][held_out]] for both in (texts, labels))
    dataset = TextDataset(folder.name, texts[0], labels[0], texts[1], labels[1], classes.names)
    return check_classes(replace(dataset, notes=classes.notes))


def _held_out(count: int, share: float) -> np.ndarray:
    """Which examples are held out for testing, bool `[count]`."""
    drawn = np.random.PCG64(np.random.SeedSequence(_HELD_OUT)).random_raw(count)
    tests = round(share * count)
    if not 0 < tests < count:
        raise InputError(
            f"dataset.text.test_share: expected some of the {count} examples and not all, received "
            f"{share}"
        )
    held_out = np.zeros(count, bool)
    held_out[np.argsort(drawn, kind="stable")[:tests]] = True
    return held_out


def _find(folder: Path, split: str) -> Path:
    found = [path for s in _SUFFIXES if (path := folder / f"{split}{s}").is_file()]
    if len(found) != 1:
        names = ", ".join(f"{split}{suffix}" for suffix in _SUFFIXES)
        received = " and ".join(path.name for path in found) or "none of them"
        raise InputError(f"{folder}: expected one of {names}, received {received}")
    return found[0]


def _read(path: Path, settings: TextSettings) -> _Table:
    try:
        rows = _json_rows(path) if path.suffix == ".jsonl" else _table_rows(path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read: {reason(error)}") from None
    wanted = [("columns", column) for column in settings.columns] + [("label", settings.label)]
    for key, column in wanted:
        lacking = [number for number, row in enumerate(rows) if column not in row]
        if lacking:
            raise InputError(
                f"{path}: dataset.text.{key}: expected one of {sorted(map(str, rows[lacking[0]]))}"
                f", received {column!r} ({rows_said(lacking)})"
            )
    for column in settings.columns:
        wrong = [number for number, row in enumerate(rows) if not isinstance(row[column], str)]
        if wrong:
            raise InputError(
                f"{path}: {rows_said(wrong)}: {column}: expected a text, received "
                f"{str(rows[wrong[0]][column])[:60]!r}"
            )
    texts = [[row[column] for column in settings.columns] for row in rows]
    return _Table(
        as_texts(texts, settings.columns, str(path)),
        Column(f"{path}: {settings.label}", [row[settings.label] for row in rows], "record"),
    )


def _table_rows(path: Path) -> list[dict[str, Any]]:
    separated: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    options = separated if path.suffix == ".tsv" else {"strict": True}
    csv.field_size_limit(2**31 - 1)  # texts of any length
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = [row for row in csv.reader(file, **options) if row] or [[]]
    if not header:
        raise InputError(f"{path}: expected a header and records, received nothing")
    wrong = [number for number, row in enumerate(rows) if len(row) != len(header)]
    if wrong:
        row = rows[wrong[0]]
        raise InputError(
            f"{path}: {rows_said(wrong)}: expected {len(header)} columns, as in the header, "
            f"received {len(row)}, the last of them {row[-1]!r}; texts with a separator or a "
            "line break go in double quotes, in .csv"
        )
    return [dict(zip(header, row, strict=True)) for row in rows]


def _json_rows(path: Path) -> list[dict[str, Any]]:
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:  # numbers of 5,000 digits, 5,000 brackets
            raise InputError(f"{where}: not JSON: {reason(error)}") from None
        if not isinstance(row, dict):
            raise InputError(f"{where}: expected an object, received {type(row).__name__}")
        if any(isinstance(value, str) and _SURROGATE.search(value) for value in row.values()):
            raise InputError(f"{where}: expected Unicode text, received half a surrogate pair")
        rows.append(row)
    return rows
