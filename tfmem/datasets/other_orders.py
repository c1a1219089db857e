"""Indices of a run's examples in the orders by which other programs know a data set.

TFDS stores the examples of MNIST and CIFAR in the order of the MD5 hashes of the split's name and
the official index (`tensorflow_datasets.core.hashing`), which is the order that a loop over
`tfds.load(…, shuffle_files=False)` sees. The official order is that of the files that the authors
of the data set released, and of torchvision and `keras.datasets`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from tfmem.config import DatasetSettings
from tfmem.datasets.official import load_official
from tfmem.datasets.streamed import AnyDataset
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels

_TFDS = ("mnist", "cifar10", "cifar100")  # data sets whose keys in TFDS are official indices
OFFICIAL, STORED = "official_index", "tfds_index"


def tfds_positions(split: str, count: int) -> np.ndarray:
    """The position of each official index in the order in which TFDS stores a split.

    Args:
      split: the split's name, `train` or `test`.
      count: number of its examples.

    Returns:
      int64 `[count]`.
    """
    salted = hashlib.md5(split.encode(), usedforsecurity=False)
    hashes = []
    for index in range(count):
        hashed = salted.copy()
        hashed.update(str(index).encode())
        hashes.append(hashed.digest())
    positions = np.empty(count, np.int64)
    positions[np.array(sorted(range(count), key=hashes.__getitem__), np.int64)] = np.arange(count)
    return positions


def other_orders(
    settings: DatasetSettings, labels: Labels
) -> dict[str, dict[str, np.ndarray]] | None:
    """The official and the TFDS index of each example of a run.

    Args:
      settings: those of the run's data set.
      labels: labels of the run.

    Returns:
      By split (`train`, `test`), int64 `[examples]` by name of the order: `official_index`, and
      `tfds_index` where TFDS has an order of its own. For digits, the official index is the row of
      `sklearn.datasets.load_digits`. None if no other order of the data set is known.

    Raises:
      InputError: if the data set must be read, because a run has only some of its classes or there
        are two forms of its files, and cannot be.
    """
    if settings.name not in ("digits", *_TFDS):
        return None
    whole, is_official = _source(settings)
    kept = {
        "train": _kept(whole.train_labels, whole, labels),
        "test": _kept(whole.test_labels, whole, labels),
    }
    expected = {"train": labels.train_labels, "test": labels.test_labels}
    for split, rows in kept.items():
        if len(rows) != len(expected[split]):
            raise InputError(
                f"dataset: the run has {len(expected[split]):,} {split} examples, {whole.name} "
                f"has {len(rows):,} of its classes"
            )
    if settings.name == "digits":
        return {split: {OFFICIAL: _digits_rows()[split][rows]} for split, rows in kept.items()}
    found = {}
    for split, rows in kept.items():
        count = len(getattr(whole, f"{split}_labels"))
        positions = tfds_positions(split, count)
        official = rows if is_official else np.argsort(positions)[rows]
        found[split] = {OFFICIAL: official, STORED: positions[official]}
    return found


def _source(settings: DatasetSettings) -> tuple[AnyDataset, bool]:
    """The whole data set, and whether its index is the official order."""
    from tfmem.datasets import load

    if settings.name in _TFDS and settings.data_dir is not None:
        path = Path(settings.data_dir).expanduser()
        if path.is_dir() and (found := load_official(settings.name, path)) is not None:
            return found, True
    whole = load(settings.model_copy(update={"classes": None, "label_noise": 0.0}))
    return whole, settings.name != "mnist"  # records of CIFAR in TFDS name their official index


def _kept(of_split: np.ndarray, whole: AnyDataset, labels: Labels) -> np.ndarray:
    """The rows of the examples of a run's classes.

    Raises:
      InputError: if a class is none of the data set's.
    """
    if unknown := [name for name in labels.class_names if name not in whole.class_names]:
        raise InputError(f"{whole.name}: the run's class {unknown[0]!r} is none of its classes")
    classes = [whole.class_names.index(name) for name in labels.class_names]
    return np.flatnonzero(np.isin(of_split, classes))


def _digits_rows() -> dict[str, np.ndarray]:
    from sklearn.datasets import load_digits

    from tfmem.datasets.embedded import test_positions

    target = load_digits().target
    test = test_positions(target)
    return {"train": np.setdiff1d(np.arange(len(target)), test), "test": test}
