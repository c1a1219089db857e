"""Describes a data set at the start of a run: its examples and classes, and what was left out."""

from __future__ import annotations

import numpy as np

from tfmem.config import DatasetSettings
from tfmem.datasets import AnyDataset, has_classes, load
from tfmem.messages.terminal import say

_CLASSES = 12  # classes that are all listed; of more classes only some are
_LETTERS = 40  # letters of a class name that are shown


def load_and_tell(settings: DatasetSettings) -> AnyDataset:
    """Loads a data set, as `tfmem.datasets.load` does, and prints its summary."""
    dataset = load(settings)
    say(summary(dataset))
    return dataset


def summary(dataset: AnyDataset) -> str:
    """Describes a data set: its numbers of examples, in total and of each class, and its notes."""
    of_all = (
        f"{_shown(dataset.name)}: {len(dataset.train_labels):,} training and "
        f"{len(dataset.test_labels):,} test examples"
    )
    if not has_classes(dataset):
        return "\n".join([of_all, *dataset.notes])
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    listed = [
        f"{_shown(name)} ({count:,})"
        for name, count in zip(dataset.class_names[:_CLASSES], counts.tolist(), strict=False)
    ]
    if len(counts) > _CLASSES:
        listed = [*listed[: _CLASSES - 2], f"… (each {counts.min():,} to {counts.max():,})"]
    return "\n".join(
        [
            of_all,
            f"{len(counts):,} classes (training examples): {', '.join(listed)}",
            *dataset.notes,
        ]
    )


def _shown(name: str) -> str:
    """A name in a form that a terminal can show in one line."""
    short = name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"
    return short if short.isprintable() else repr(short)
