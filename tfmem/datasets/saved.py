"""Data sets that tfmem wrote itself, so that other programs open what a user had in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError, reason
from tfmem.store.labels import class_numbers
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.npz import PLAIN, NpzFile, map_npy, npy_parts, npz_bytes
from tfmem.store.sets import read_manifest
from tfmem.store.writing import Parts, write_set

_FILE = "data.npz"
_SPLITS = ("train", "test")
_NUMBERS = "biuf"
_OPTIONAL = {  # kinds of arrays
    "train_targets": _NUMBERS,
    "test_targets": _NUMBERS,
    "train_ids": "U",
    "test_ids": "U",
    "clean_train_labels": "iu",
}


def save_dataset(dataset: Dataset | StructuredDataset, folder: Path) -> None:
    """Writes a data set as `data.npz` and files of inputs; the manifest has its fingerprint.

    The inputs are `train_0`, `test_0`, …, in the order of `input_names`; without names there is
    one. Those of numbers are npy files, which are written in parts and opened as memory maps; those
    of strings are arrays of `data.npz`. What `Dataset` names otherwise has that name there.

    Raises:
      InputError: if it cannot be written.
    """

    def contents() -> Iterator[tuple[str, bytes | Parts]]:
        numbers: dict[str, np.ndarray] = {}
        arrays = _arrays(dataset)
        for name, values in _inputs(dataset).items():
            (numbers if values.dtype.kind in _NUMBERS else arrays)[name] = values
        for name, values in numbers.items():
            yield f"{name}.npy", Parts(npy_parts(values))
        yield _FILE, npz_bytes(arrays)

    write_set(folder, {"fingerprint": dataset.fingerprint.hex()}, contents())


def saved_fingerprint(folder: Path) -> bytes | None:
    """The fingerprint of the data set in a folder; None if there is none.

    Raises:
      InputError: if the manifest is damaged.
    """
    manifest = read_manifest(folder) if folder.is_dir() else None
    if manifest is None:
        return None
    try:
        return bytes.fromhex(manifest.made_from["fingerprint"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{folder / MANIFEST_NAME}: fingerprint: expected hexadecimal digits: {reason(error)}"
        ) from None


def load_saved(folder: Path) -> Dataset | StructuredDataset:
    """Reads a data set that `save_dataset` wrote.

    Raises:
      InputError: if there is none, or it is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        raise InputError(f"{folder}: expected a data set that tfmem saved, there is no {_FILE}")
    with NpzFile(path, str(path)) as file:
        dataset = _dataset(folder.absolute().parent.name, file, folder)
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
    if isinstance(dataset, Dataset):
        arrays["white"] = np.array(dataset.white)
    else:
        arrays["input_names"] = np.array(list(dataset.train_inputs), np.str_)
    for name in _OPTIONAL:
        if (values := getattr(dataset, name)) is not None:
            arrays[name] = values
    return arrays


def _inputs(dataset: Dataset | StructuredDataset) -> dict[str, np.ndarray]:
    """The inputs by the names of their files or arrays."""
    if isinstance(dataset, Dataset):
        return {"train_0": dataset.train_images, "test_0": dataset.test_images}
    pairs = (
        (dataset.train_inputs[name], dataset.test_inputs[name]) for name in dataset.train_inputs
    )
    return {
        f"{split}_{number}": values
        for number, pair in enumerate(pairs)
        for split, values in zip(_SPLITS, pair, strict=True)
    }


def _dataset(name: str, file: NpzFile, folder: Path) -> Dataset | StructuredDataset:
    labels = {
        split: class_numbers(
            file.array(f"{split}_labels", "iu", ("examples",)), f"{file.source}: {split}_labels"
        )
        for split in _SPLITS
    }
    classes = tuple(file.array("class_names", "U", ("classes",)).tolist())
    highest = max(values.max(initial=-1) for values in labels.values())
    if highest >= len(classes):
        raise InputError(f"{file.source}: label {highest} has no name ({len(classes)} class_names)")
    more: dict[str, Any] = {
        "notes": tuple(file.array("notes", "U", ("notes",)).tolist()),
        "has_classes": bool(file.array("has_classes", "b", ())),
    }
    for key, kinds in _OPTIONAL.items():
        if key in file:
            more[key] = _rows(file, key, kinds, labels["train" if "train" in key else "test"])
    train, test = labels["train"], labels["test"]
    if "input_names" not in file:
        inputs = [_input(file, folder, f"{split}_0", _NUMBERS, labels[split]) for split in _SPLITS]
        white = int(file.array("white", "iu", ()))
        return Dataset(name, inputs[0], train, inputs[1], test, classes, white, **more)
    names = file.array("input_names", "U", ("inputs",)).tolist()
    named = [
        {
            each: _input(file, folder, f"{split}_{n}", PLAIN, labels[split])
            for n, each in enumerate(names)
        }
        for split in _SPLITS
    ]
    return StructuredDataset(name, named[0], train, named[1], test, classes, **more)


def _input(file: NpzFile, folder: Path, name: str, kinds: str, labels: np.ndarray) -> np.ndarray:
    """Opens an input that has a row for each label; older data sets have it in `data.npz`."""
    if name in file:
        return _rows(file, name, kinds, labels)
    path = folder / f"{name}.npy"
    found = map_npy(path, _NUMBERS)
    _check_rows(found, str(path), labels)
    return found


def _rows(file: NpzFile, name: str, kinds: str, labels: np.ndarray) -> np.ndarray:
    """Reads an array that has a row for each label."""
    found = file.array(name, kinds)
    _check_rows(found, f"{file.source}: {name}", labels)
    return found


def _check_rows(found: np.ndarray, where: str, labels: np.ndarray) -> None:
    if found.shape[:1] != labels.shape:
        raise InputError(
            f"{where}: expected [{len(labels)}, …], as there are labels, received "
            f"{list(found.shape)}"
        )
