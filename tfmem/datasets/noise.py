"""Training labels replaced at random, as a source of examples that can only be memorized."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfmem.datasets.streamed import AnyDataset
from tfmem.errors import InputError

_STREAM = 0x6E6F6973  # keeps these random numbers apart from those of any trial


def add_label_noise(dataset: AnyDataset, fraction: float, seed: int) -> AnyDataset:
    """Replaces exactly `round(fraction * num_train)` training labels by another class.

    Which examples, and which of the other classes, is uniformly random and decided by `seed`.
    The data set that is returned has the old labels as `clean_train_labels`.

    Raises:
      InputError: if there is no other class.
    """
    classes, clean = len(dataset.class_names), dataset.train_labels
    if classes < 2:
        raise InputError(
            f"dataset.label_noise: expected at least 2 classes, {dataset.name} has {classes}"
        )
    which, others = (np.random.SeedSequence(seed, spawn_key=(_STREAM, part)) for part in (0, 1))
    order = np.argsort(np.random.PCG64(which).random_raw(len(clean)), kind="stable")
    changed = order[: round(fraction * len(clean))]
    steps = np.random.PCG64(others).random_raw(len(changed)) % (classes - 1)
    labels = clean.copy()
    labels[changed] = (clean[changed] + 1 + steps.astype(np.int64)) % classes
    return replace(dataset, train_labels=labels, clean_train_labels=clean)
