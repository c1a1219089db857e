"""A data set in one npz file of arrays: images, or features that some other model has computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.errors import InputError
from tfmem.store.npz import read_npz


def load_npz(path: Path) -> Dataset:
    """Reads a file with images or features and labels of both splits; nothing is unpickled.

    Its arrays: `train_images` and `test_images` (uint8 `[n, height, width]` or
    `[n, height, width, channels]`, or floats `[n, ...]`), or `train_features` and `test_features`
    (floats `[n, width]`); `train_labels` and `test_labels` (integers `[n]`, classes from 0);
    optionally `class_names` (strings `[classes]`). Models see uint8 divided by 255, and floats as
    they are. float16 stays so in memory, and float64 becomes float32.

    Raises:
      InputError: naming the array that is missing or wrong.
    """
    found = _read(path)
    kind = "features" if "train_features" in found else "images"
    names = [f"{split}_{what}" for split in ("train", "test") for what in (kind, "labels")]
    if absent := [name for name in names if name not in found]:
        raise InputError(f"{path}: expected an array {absent[0]!r}, found {sorted(found)}")
    train, test = (_inputs(path, f"{split}_{kind}", found) for split in ("train", "test"))
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise InputError(
            f"{path}: expected test_{kind} like train_{kind}, {train.dtype} "
            f"{list(train.shape[1:])}, received {test.dtype} {list(test.shape[1:])}"
        )
    class_names = _class_names(path, found)
    return Dataset(
        path.stem,
        train,
        _labels(path, "train_labels", found, len(train), len(class_names)),
        test,
        _labels(path, "test_labels", found, len(test), len(class_names)),
        class_names,
        white=255 if train.dtype == np.uint8 else 1,
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"dataset.data_dir: expected an npz file, there is none at {path}")
    return read_npz(path)


def _inputs(path: Path, name: str, found: dict[str, np.ndarray]) -> np.ndarray:
    values = found[name]
    features = name.endswith("features")
    received = f"received {values.dtype} {list(values.shape)}"
    if values.dtype.kind != "f" and (features or values.dtype != np.uint8):
        expected = "floats" if features else "uint8 or floats"
        raise InputError(f"{path}: {name}: expected {expected}, {received}")
    if features and values.ndim != 2:
        raise InputError(f"{path}: {name}: expected [examples, width], {received}")
    if values.ndim < 2 or (values.dtype == np.uint8 and values.ndim not in (3, 4)):
        raise InputError(
            f"{path}: {name}: expected [examples, height, width] or [examples, height, width, "
            f"channels], {received}"
        )
    if 0 in values.shape:
        raise InputError(f"{path}: {name}: expected at least one example and value, {received}")
    if values.dtype.kind == "f":
        if values.dtype.itemsize > 4:
            with np.errstate(over="ignore"):  # what becomes infinite is refused below
                values = values.astype(np.float32)
        finite = np.isfinite(values).reshape(len(values), -1).all(axis=1)
        if not finite.all():
            raise InputError(
                f"{path}: {name}: expected finite float32 numbers, example {np.argmin(finite)} "
                "has others"
            )
    return values[..., None] if values.ndim == 3 and not features else values


def _class_names(path: Path, found: dict[str, np.ndarray]) -> tuple[str, ...]:
    if "class_names" in found:
        names = found["class_names"]
        if names.ndim != 1 or names.dtype.kind != "U":
            raise InputError(
                f"{path}: class_names: expected strings [classes], received {names.dtype} "
                f"{list(names.shape)}"
            )
        return tuple(names.tolist())
    labels = [found[name] for name in ("train_labels", "test_labels")]
    if any(values.dtype.kind not in "iu" or not values.size for values in labels):
        return ()  # which `_labels` will say
    return tuple(str(label) for label in range(int(max(values.max() for values in labels)) + 1))


def _labels(
    path: Path, name: str, found: dict[str, np.ndarray], count: int, classes: int
) -> np.ndarray:
    values = found[name]
    if values.dtype.kind not in "iu" or values.shape != (count,):
        raise InputError(
            f"{path}: {name}: expected integers [{count}], one for each example, received "
            f"{values.dtype} {list(values.shape)}"
        )
    wrong = (values < 0) | (values >= classes)
    if wrong.any():
        index = int(np.argmax(wrong))
        raise InputError(
            f"{path}: {name}: expected labels from 0 to {classes - 1}, received {values[index]} "
            f"at index {index}"
        )
    return values.astype(np.int64)
