"""What a run keeps of a data set beside its predictions, and the data set that follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config.steps import TaskName
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.given import read_ids
from tfmem.datasets.streamed import AnyDataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.datasets.targets import read_targets
from tfmem.datasets.text import TextDataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels

_MOST_AXES = 2  # of targets that are kept


def labels_of(dataset: AnyDataset) -> Labels:
    """What a run keeps of a data set beside its predictions."""
    labels = Labels(
        dataset.train_labels,
        dataset.test_labels,
        dataset.class_names,
        dataset.fingerprint,
        dataset.clean_train_labels,
    )
    if isinstance(dataset, TextDataset):
        return replace(labels, has_classes=dataset.has_classes)
    if not isinstance(dataset, Dataset | StructuredDataset):
        return labels
    labels = replace(
        labels,
        has_classes=dataset.has_classes,
        train_ids=dataset.train_ids,
        test_ids=dataset.test_ids,
    )
    targets = dataset.train_targets
    if dataset.has_classes or targets is None or targets.ndim > _MOST_AXES:
        return labels
    return replace(labels, train_targets=targets, test_targets=dataset.test_targets)


def load_labels(path: Path) -> StructuredDataset:
    """The data set of which a run kept the labels, without inputs.

    Args:
      path: the `labels.npz` beside the predictions of the run.

    Raises:
      InputError: if there is no such file, or it cannot be read.
    """
    try:
        contents = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    labels = Labels.from_npz(contents, str(path))
    return StructuredDataset(
        path.absolute().parent.parent.name,
        {},
        labels.train_labels,
        {},
        labels.test_labels,
        labels.class_names,
        labels.clean_train_labels,
        train_targets=labels.train_targets,
        test_targets=labels.test_targets,
        train_ids=labels.train_ids,
        test_ids=labels.test_ids,
        has_classes=labels.has_classes,
    )


def unseen_dataset(
    name: str,
    train_labels: Any,
    test_labels: Any = None,
    *,
    task: TaskName = "auto",
    ids: Sequence[Any] | None = None,
    test_ids: Sequence[Any] | None = None,
    class_names: Sequence[str] | None = None,
) -> StructuredDataset:
    """A data set whose examples a user keeps, so that only their labels are known.

    Args:
      name: the data set's name.
      train_labels: `[num_train, ...]`, targets in any form that `read_targets` takes.
      test_labels: likewise; None if there are no test examples.
      task: what targets are; `auto` takes what they look like.
      ids: the user's own names of the training examples.
      test_ids: those of the test examples.
      class_names: names of the classes, in the order of their numbers.

    Raises:
      InputError: if targets or names cannot be used.
    """
    known = read_targets(
        train_labels, np.zeros(0) if test_labels is None else test_labels, task, class_names
    )
    counts = len(known.labels[0]), len(known.labels[1])
    if not counts[0]:
        raise InputError("train: expected at least one example, received none")
    return StructuredDataset(
        name,
        {},
        known.labels[0],
        {},
        known.labels[1],
        known.class_names,
        notes=known.notes,
        has_classes=known.has_classes,
        train_ids=read_ids(ids, None, counts[0], "train_ids"),
        test_ids=read_ids(test_ids, None, counts[1], "test_ids"),
        train_targets=None if known.targets is None else known.targets[0],
        test_targets=None if known.targets is None else known.targets[1],
    )
