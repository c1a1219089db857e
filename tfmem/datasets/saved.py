"""Data sets that tfmem wrote itself, so that other programs open what a user had in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError
from tfmem.store.npz import NpzFile, npz_bytes
from tfmem.store.sets import read_manifest
from tfmem.store.writing import write_set

_FILE = "data.npz"
_OPTIONAL = ("train_targets", "test_targets", "train_ids", "test_ids", "clean_train_labels")


def save_dataset(dataset: Dataset | StructuredDataset, folder: Path) -> None:
    """Writes a data set as `data.npz`, with a manifest that has its fingerprint.

    The inputs are arrays `train_0`, `test_0`, …, in the order of `input_names`; without names there
    is one. What `Dataset` names otherwise has that name.

    Raises:
      InputError: if it cannot be written.
    """

    def contents() -> Iterator[tuple[str, bytes]]:
        yield _FILE, npz_bytes(_arrays(dataset))

    write_set(folder, {"fingerprint": dataset.fingerprint.hex()}, contents())


def saved_fingerprint(folder: Path) -> bytes | None:
    """The fingerprint of the data set in a folder; None if there is none."""
    manifest = read_manifest(folder) if folder.is_dir() else None
    return bytes.fromhex(manifest.made_from["fingerprint"]) if manifest else None


def load_saved(folder: Path) -> Dataset | StructuredDataset:
    """Reads a data set that `save_dataset` wrote.

    Raises:
      InputError: if there is none, or it is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        raise InputError(f"{folder}: expected a data set that tfmem saved, there is no {_FILE}")
    with NpzFile(path, str(path)) as file:
        found = {name: file.array(name) for name in file.names}
    try:
        dataset = _dataset(folder.absolute().parent.name, found)
    except KeyError as error:
        raise InputError(f"{path}: expected an array {error.args[0]!r}") from None
    if saved_fingerprint(folder) != dataset.fingerprint:
        raise InputError(
            f"{path}: the data are not those that were saved: their fingerprint differs"
        )
    return dataset


def _arrays(dataset: Dataset | StructuredDataset) -> dict[str, Any]:
    arrays: dict[str, Any] = {
        "train_labels": dataset.train_labels,
        "test_labels": dataset.test_labels,
        "class_names": np.array(dataset.class_names, np.str_),
        "has_classes": np.array(dataset.has_classes),
        "notes": np.array(dataset.notes, np.str_),
    }
    inputs: list[tuple[np.ndarray, np.ndarray]]
    if isinstance(dataset, Dataset):
        inputs = [(dataset.train_images, dataset.test_images)]
        arrays["white"] = np.array(dataset.white)
    else:
        names = list(dataset.train_inputs)
        inputs = [(dataset.train_inputs[name], dataset.test_inputs[name]) for name in names]
        arrays["input_names"] = np.array(names, np.str_)
    for number, (train, test) in enumerate(inputs):
        arrays |= {f"train_{number}": train, f"test_{number}": test}
    for name in _OPTIONAL:
        if (values := getattr(dataset, name)) is not None:
            arrays[name] = values
    return arrays


def _dataset(name: str, found: dict[str, np.ndarray]) -> Dataset | StructuredDataset:
    more: dict[str, Any] = {key: found[key] for key in _OPTIONAL if key in found}
    more["notes"] = tuple(found["notes"].tolist())
    more["has_classes"] = bool(found["has_classes"])
    labels = found["train_labels"], found["test_labels"]
    classes = tuple(found["class_names"].tolist())
    if "input_names" not in found:
        inputs = found["train_0"], found["test_0"]
        return Dataset(
            name, inputs[0], labels[0], inputs[1], labels[1], classes, int(found["white"]), **more
        )
    names = found["input_names"].tolist()
    train, test = (
        {each: found[f"{split}_{number}"] for number, each in enumerate(names)}
        for split in ("train", "test")
    )
    return StructuredDataset(name, train, labels[0], test, labels[1], classes, **more)
