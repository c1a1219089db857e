"""Replaces training labels at random, which makes examples that can only be memorized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.datasets.streamed import AnyDataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError

_STREAM = 0x6E6F6973  # keeps these random numbers apart from those of any trial


def add_label_noise(dataset: AnyDataset, fraction: float, seed: int) -> AnyDataset:
    """Replaces exactly `round(fraction * num_train)` training labels by another class.

    The examples and their new classes are uniformly random and decided by `seed`. The returned data
    set has the old labels as `clean_train_labels`.

    Raises:
      InputError: if the data set has only one class.
    """
    count, classes = len(dataset.train_labels), len(dataset.class_names)
    if classes < 2:  # so it is, too, where there are no classes
        raise InputError(
            f"dataset.label_noise: expected at least 2 classes, {dataset.name} has {classes}"
        )
    which = np.random.SeedSequence(seed, spawn_key=(_STREAM, 0))
    order = np.argsort(np.random.PCG64(which).random_raw(count), kind="stable")
    return replace_labels(dataset, order[: round(fraction * count)], seed)


def exchange_targets(
    dataset: Dataset | StructuredDataset, chosen: np.ndarray, seed: int
) -> Dataset | StructuredDataset:
    """Exchanges the targets of some training examples among them, at random.

    Each gets the target of another one, which may be equal. The targets as a whole are the same.

    Args:
      dataset: examples with targets that are no classes.
      chosen: int64 `[chosen]`, indices of the training examples whose targets are exchanged.
      seed: decides who gets whose.
    """
    targets = dataset.train_targets
    if targets is None:
        raise InputError(f"dataset: expected targets, {dataset.name} has classes")
    others = np.random.SeedSequence(seed, spawn_key=(_STREAM, 2))
    order = chosen[np.argsort(np.random.PCG64(others).random_raw(len(chosen)), kind="stable")]
    exchanged = targets.copy()
    exchanged[order] = targets[np.roll(order, 1)]
    return replace(dataset, train_targets=exchanged)


def replace_labels(dataset: AnyDataset, chosen: np.ndarray, seed: int) -> AnyDataset:
    """Replaces the labels of some training examples by another class, uniformly at random.

    Args:
      dataset: examples of at least two classes; the returned data set has their labels as
        `clean_train_labels`.
      chosen: int64 `[chosen]`, indices of the training examples whose labels are replaced.
      seed: decides the new labels.
    """
    classes, clean = len(dataset.class_names), dataset.train_labels
    others = np.random.SeedSequence(seed, spawn_key=(_STREAM, 1))
    steps = np.random.PCG64(others).random_raw(len(chosen)) % (classes - 1)
    labels = clean.copy()
    labels[chosen] = (clean[chosen] + 1 + steps.astype(np.int64)) % classes
    found = replace(dataset, train_labels=labels, clean_train_labels=clean)
    if isinstance(found, Dataset | StructuredDataset) and found.train_targets is not None:
        found = replace(found, train_targets=np.eye(classes, dtype=np.float32)[labels])  # one-hot
    return found
