"""A data set in one npz file of arrays: images, or features that another model has computed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tfmem.config import DatasetSettings
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.labels import Column, as_classes
from tfmem.messages.errors import InputError
from tfmem.store.npz import read_npz

_SPLITS = ("train", "test")
_CHANNELS = (1, 3, 4)
_LEAST_SIDE = 8  # pixels; axes of smaller images cannot be told apart by their lengths
_UNSCALED = 100  # larger floats cause a warning, because models rarely learn from them

_Arrays = Mapping[str, np.ndarray]


def load_npz(path: Path, settings: DatasetSettings) -> Dataset:
    """Reads a file with images or features and labels of both splits; nothing is unpickled.

    The file holds `train_images` and `test_images` (`[n, height, width]` or `[n, height, width,
    channels]`, uint8, other integers from 0 to 255, or floats `[n, ...]`), or `train_features` and
    `test_features` (numbers `[n, width]`); `train_labels` and `test_labels`; optionally
    `class_names` (strings `[classes]`). `x_train`, `y_train`, `x_test` and `y_test`, as Keras has
    them, are taken too. Labels are numbers, whole floats or strings, `[n]` or `[n, 1]`, or one-hot
    `[n, classes]`; see `as_classes`. Without test arrays there are no test examples.

    Models see arrays divided by `dataset.white`. float16 stays float16 in memory, float64 becomes
    float32.

    Raises:
      InputError: if an array is missing or wrong; the error names it.
    """
    if not path.is_file():
        raise InputError(f"dataset.data_dir: expected an npz file, there is none at {path}")
    found = _named(path, read_npz(path))
    kind = "features" if "train_features" in found else "images"
    if absent := [n for n in (f"train_{kind}", "train_labels") if n not in found]:
        raise InputError(f"{path}: expected an array {absent[0]!r}, found {sorted(found)}")
    found = _with_test(path, kind, found)
    train, test = (_inputs(path, f"{split}_{kind}", found, settings) for split in _SPLITS)
    if train.shape[1:] != test.shape[1:] or train.dtype != test.dtype:
        raise InputError(
            f"{path}: expected test_{kind} like train_{kind}, {train.dtype} "
            f"{list(train.shape[1:])}, received {test.dtype} {list(test.shape[1:])}"
        )
    columns, names = _labels(path, found, (len(train), len(test)))
    classes = as_classes(columns, names, settings.unlabelled, "an array class_names")
    white = settings.white or (255 if train.dtype == np.uint8 else 1)
    notes = [*classes.notes, *_unscaled(path, f"train_{kind}", train, settings)]
    if not len(test):
        notes.append(f"{path}: there are no test examples: influence cannot be estimated")
    return Dataset(
        path.stem,
        _rows(train, classes.kept[0]),
        classes.numbers[0],
        _rows(test, classes.kept[1]),
        classes.numbers[1],
        classes.names,
        white,
        notes=tuple(notes),
    )


def _rows(values: np.ndarray, kept: np.ndarray) -> np.ndarray:
    return values if len(kept) == len(values) else values[kept]


def _named(path: Path, found: _Arrays) -> dict[str, np.ndarray]:
    """The arrays of a file under tfmem's names, whether it uses these or Keras' names."""
    named = dict(found)
    for split in _SPLITS:
        for short, kind in (("x", "images"), ("y", "labels")):
            if (values := named.pop(f"{short}_{split}", None)) is None:
                continue
            name = f"{split}_{'features' if short == 'x' and values.ndim == 2 else kind}"
            if name in named:
                raise InputError(f"{path}: expected {name} or {short}_{split}, received both")
            named[name] = values
    return named


def _with_test(path: Path, kind: str, found: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the arrays, with empty test arrays if the file has none."""
    names = [f"test_{kind}", "test_labels"]
    there = [name for name in names if name in found]
    if len(there) == 1:
        (absent,) = set(names) - set(there)
        raise InputError(
            f"{path}: expected an array {absent!r} with {there[0]!r}, found {sorted(found)}"
        )
    empty = {f"test_{what}": found[f"train_{what}"][:0] for what in (kind, "labels")}
    return {**empty, **found}


def _inputs(path: Path, name: str, found: _Arrays, settings: DatasetSettings) -> np.ndarray:
    values = found[name]
    features, where = name.endswith("features"), f"{path}: {name}"
    received = f"received {values.dtype} {list(values.shape)}"
    if values.dtype.kind not in "iuf":
        raise InputError(f"{where}: expected uint8 or floats, {received}")
    if features and values.ndim != 2:
        raise InputError(f"{where}: expected [examples, width], {received}")
    whole = values.dtype.kind in "iu"
    if values.ndim < 2 or (whole and not features and values.ndim not in (3, 4)):
        raise InputError(
            f"{where}: expected [examples, height, width] or [examples, height, width, channels], "
            f"{received}"
        )
    if 0 in values.shape[1:] or (name.startswith("train") and not len(values)):
        raise InputError(f"{where}: expected at least one example and value, {received}")
    if whole and (features or values.dtype != np.uint8):
        values = _whole_numbers(values, where, features)
    if values.dtype.kind == "f":
        values = _finite(values, where)
    return values if features else _channels_last(values, where, settings)


def _whole_numbers(values: np.ndarray, where: str, features: bool) -> np.ndarray:
    """Converts integers to uint8 if they are images, or to float32 if they are features."""
    if features:
        return values.astype(np.float32)
    if values.size and (values.min() < 0 or values.max() > 255):
        raise InputError(
            f"{where}: expected uint8, or integers from 0 to 255, received {values.dtype} from "
            f"{values.min()} to {values.max()}; floats may have any range, with dataset.white"
        )
    return values.astype(np.uint8)


def _finite(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.itemsize > 4:
        with np.errstate(over="ignore"):  # infinite numbers are refused below
            values = values.astype(np.float32)
    finite = np.isfinite(values).all(axis=tuple(range(1, values.ndim)))
    if not finite.all():
        wrong = np.flatnonzero(~finite)
        listed = ", ".join(map(str, wrong[:8])) + (", …" if len(wrong) > 8 else "")
        raise InputError(
            f"{where}: expected finite float32 numbers, {len(wrong):,} examples have others: "
            f"{listed}"
        )
    return values


def _channels_last(values: np.ndarray, where: str, settings: DatasetSettings) -> np.ndarray:
    """Returns images as `[n, height, width, channels]`, and refuses axes that look reversed."""
    if values.ndim == 3:
        return values[..., None]
    if values.ndim != 4 or settings.channels == "last":
        return values
    if settings.channels == "first":
        return np.ascontiguousarray(np.moveaxis(values, 1, -1))
    channels, height, width = values.shape[1:]
    if channels in _CHANNELS and width not in _CHANNELS and min(height, width) >= _LEAST_SIDE:
        raise InputError(
            f"{where}: [examples, height, width, channels] would be {list(values.shape)}: "
            f"dataset.channels=first reads images {channels} x {height} x {width} as "
            f"[examples, channels, height, width], dataset.channels=last as they are"
        )
    return values


def _labels(
    path: Path, found: _Arrays, counts: tuple[int, int]
) -> tuple[list[Column], tuple[str, ...] | None]:
    """Labels `[n]` of both splits, and the names of the classes if the file holds them."""
    names: tuple[str, ...] | None = None
    if "class_names" in found:
        strings = found["class_names"]
        if strings.ndim != 1 or strings.dtype.kind != "U" or not len(strings):
            raise InputError(
                f"{path}: class_names: expected strings [classes], received {strings.dtype} "
                f"{list(strings.shape)}"
            )
        names = tuple(strings.tolist())
    columns = []
    for split, count in zip(_SPLITS, counts, strict=True):
        where, values = f"{path}: {split}_labels", found[f"{split}_labels"]
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim == 2 and _is_one_hot(values):
            names = names or tuple(map(str, range(values.shape[1])))
            values = values.argmax(axis=1)
        if values.shape != (count,):
            raise InputError(
                f"{where}: expected a label for each of {count} examples, [{count}], [{count}, 1] "
                f"or one-hot [{count}, classes], received {values.dtype} {list(values.shape)}"
            )
        columns.append(Column(where, values))
    return columns, names


def _is_one_hot(values: np.ndarray) -> bool:
    if values.dtype.kind == "U" or values.shape[1] < 2:
        return False
    return bool(((values == 0) | (values == 1)).all() and (values.sum(axis=1) == 1).all())


def _unscaled(path: Path, name: str, values: np.ndarray, settings: DatasetSettings) -> list[str]:
    if settings.white or values.dtype.kind != "f":
        return []
    largest = float(max(values.max(), -values.min()))
    if largest <= _UNSCALED:
        return []
    return [
        f"warning: {path}: {name}: floats reach {largest:g} and models see them as they are; "
        f"dataset.white={'255' if largest <= 255 else f'{largest:.0f}'} divides them"
    ]
