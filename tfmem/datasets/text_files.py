"""Data sets of texts from local files: tables with named columns, or a text in each line."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfmem.config import DatasetSettings, TextSettings
from tfmem.datasets.labels import Column, as_classes
from tfmem.datasets.rows import check_columns, held_out, read_lines, read_rows, rows_said
from tfmem.datasets.text import TextDataset, as_texts, check_classes, without_classes
from tfmem.messages.errors import InputError


@dataclass(frozen=True)
class _Table:
    texts: np.ndarray
    labels: Column | None

    def keep(self, rows: np.ndarray) -> np.ndarray:
        """The texts of `rows`."""
        return self.texts if len(rows) == len(self.texts) else self.texts[rows]


def load_text_files(folder: Path, settings: DatasetSettings) -> TextDataset:
    """Reads `train` and `dataset.test_split` of a folder, each a table or a file of lines (`.txt`).

    An example's index is its place among the records of its file that have a label, or among the
    lines that are not blank. With
    `dataset.text.test_share`, that share of the training file is the test set: it is drawn at
    random but always the same, and both parts keep the order of the file.

    Raises:
      InputError: if a file or column is missing or wrong; the error names file, records and column.
    """
    text = settings.text or TextSettings()
    splits = ["train"] if text.test_share else ["train", settings.test_split]
    tables = [_read(folder, split, text) for split in splits]
    if text.label is None:
        texts = [table.texts for table in tables]
        if text.test_share:
            tests = held_out(len(texts[0]), text.test_share, "dataset.text.test_share")
            texts = [texts[0][~tests], texts[0][tests]]
        return without_classes(folder.name, texts, text.tokens)
    classes = as_classes(
        [table.labels for table in tables if table.labels is not None],
        text.class_names,
        settings.unlabelled,
        "dataset.text.class_names",
    )
    texts = [table.keep(rows) for table, rows in zip(tables, classes.kept, strict=True)]
    labels = list(classes.numbers)
    if text.test_share:
        tests = held_out(len(texts[0]), text.test_share, "dataset.text.test_share")
        texts, labels = ([both[0][~tests], both[0][tests]] for both in (texts, labels))
    dataset = TextDataset(folder.name, texts[0], labels[0], texts[1], labels[1], classes.names)
    return check_classes(replace(dataset, notes=classes.notes))


def _read(folder: Path, split: str, settings: TextSettings) -> _Table:
    if (path := folder / f"{split}.txt").is_file():
        if settings.label is not None or len(settings.columns) > 1:
            raise InputError(
                f"{path}: dataset.text: expected label: null and one column with a file of lines"
            )
        return _Table(as_texts([[line] for line in read_lines(path)], ["text"], str(path)), None)
    path, rows = read_rows(folder, split)
    wanted = [("dataset.text.columns", column) for column in settings.columns]
    if settings.label is not None:
        wanted.append(("dataset.text.label", settings.label))
    check_columns(path, rows, wanted)
    for column in settings.columns:
        wrong = [number for number, row in enumerate(rows) if not isinstance(row[column], str)]
        if wrong:
            raise InputError(
                f"{path}: {rows_said(wrong)}: {column}: expected a text, received "
                f"{str(rows[wrong[0]][column])[:60]!r}"
            )
    texts = [[row[column] for column in settings.columns] for row in rows]
    labels = None
    if settings.label is not None:
        values = [row[settings.label] for row in rows]
        labels = Column(f"{path}: {settings.label}", values, "record")
    return _Table(as_texts(texts, settings.columns, str(path)), labels)
