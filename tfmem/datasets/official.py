"""The official files of MNIST (idx, gzipped or not) and CIFAR (binary), in their official order."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from tfmem.datasets.dataset import Dataset
from tfmem.messages.errors import InputError
from tfmem.store.unpacking import read_gzip

_CIFAR_PIXELS = 3 * 32 * 32
_DIMENSIONS = 3  # dimensions that an idx file may have


def load_official(name: str, folder: Path) -> Dataset | None:
    """Reads a folder of official files; None if the folder holds none of those of `name`.

    Args:
      name: `mnist`, `cifar10` or `cifar100` (also data sets in the format of MNIST, such as
        `fashion_mnist` and `kmnist`).
      folder: the folder that holds the files under their official names.

    Raises:
      InputError: if the folder holds some of the files, but one is missing, cut short or of another
        kind.
    """
    reader = _READERS.get(name)
    return reader(name, folder) if reader else None


def _mnist(name: str, folder: Path) -> Dataset | None:
    stems = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images", "labels")]
    dimensions = {"images": 3, "labels": 1}
    paths = []
    for stem in stems:
        base = f"{stem}-idx{dimensions[stem.split('-')[1]]}-ubyte"
        paths.append(next((p for p in (folder / base, folder / f"{base}.gz") if p.exists()), None))
    if not any(paths):
        return None
    if not all(paths):
        absent = ", ".join(stem for stem, path in zip(stems, paths, strict=True) if path is None)
        raise InputError(f"{folder}: MNIST's files are incomplete: {absent} (idx) not found")
    train_images, train_labels, test_images, test_labels = (
        _read_idx(path) for path in paths if path
    )
    for images, labels, part in (
        (train_images, train_labels, "train"),
        (test_images, test_labels, "t10k"),
    ):
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise InputError(
                f"{folder}: {part}: images {list(images.shape)} and labels {list(labels.shape)} "
                "do not belong together"
            )
    classes = int(max(train_labels.max(initial=0), test_labels.max(initial=0))) + 1
    return Dataset(
        name,
        train_images[..., None],
        train_labels.astype(np.int64),
        test_images[..., None],
        test_labels.astype(np.int64),
        tuple(str(label) for label in range(classes)),
    )


def _read_idx(path: Path) -> np.ndarray:
    """Reads an idx file of unsigned bytes (magic 0, 0, 8, dimensions; then sizes, big endian)."""
    contents = read_gzip(path) if path.suffix == ".gz" else _read_whole(path)
    dimensions = contents[3] if contents[:3] == b"\0\0\x08" and len(contents) > 3 else 0
    header = 4 + 4 * dimensions
    if not 0 < dimensions <= _DIMENSIONS or len(contents) < header:
        raise InputError(f"{path}: not an idx file of unsigned bytes: begins {contents[:4]!r}")
    shape = struct.unpack(f">{dimensions}I", contents[4:header])
    expected = math.prod(shape)
    if len(contents) - header != expected:
        raise InputError(
            f"{path}: expected {expected} bytes for shape {list(shape)}, "
            f"received {len(contents) - header}"
        )
    return np.frombuffer(contents, np.uint8, offset=header).reshape(shape)


def _read_whole(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None


def _cifar10(name: str, folder: Path) -> Dataset | None:
    train = [folder / f"data_batch_{part}.bin" for part in range(1, 6)]
    return _cifar(name, train, folder / "test_batch.bin", folder / "batches.meta.txt", 1, 10)


def _cifar100(name: str, folder: Path) -> Dataset | None:
    files = [folder / "train.bin"], folder / "test.bin", folder / "fine_label_names.txt"
    return _cifar(name, *files, label_bytes=2, classes=100)


def _cifar(
    name: str, train: list[Path], test: Path, names: Path, label_bytes: int, classes: int
) -> Dataset | None:
    files = [*train, test]
    if not any(path.exists() for path in files):
        return None
    absent = [path.name for path in files if not path.exists()]
    if absent:
        raise InputError(f"{test.parent}: {name}'s files are incomplete: {', '.join(absent)}")
    parts = [_read_cifar(path, label_bytes, classes) for path in files]
    class_names = _read_names(names, classes) if names.exists() else map(str, range(classes))
    return Dataset(
        name,
        np.concatenate([images for images, _ in parts[:-1]]),
        np.concatenate([labels for _, labels in parts[:-1]]),
        *parts[-1],
        tuple(class_names),
    )


def _read_names(path: Path, classes: int) -> list[str]:
    try:
        names = _read_whole(path).decode().split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected names in UTF-8: {error}") from None
    if len(names) != classes:
        raise InputError(f"{path}: expected {classes} names of classes, received {len(names)}")
    return names


def _read_cifar(path: Path, label_bytes: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads records of label bytes (the last is the fine label) and 3 planes of 32x32 pixels."""
    contents = np.frombuffer(_read_whole(path), np.uint8)
    size = label_bytes + _CIFAR_PIXELS
    if not len(contents) or len(contents) % size:
        raise InputError(
            f"{path}: expected records of {size} bytes, received {len(contents)} bytes"
        )
    records = contents.reshape(-1, size)
    labels = records[:, label_bytes - 1].astype(np.int64)
    if (labels >= classes).any():
        record = int(np.argmax(labels >= classes))
        raise InputError(
            f"{path}: record {record}: expected a label below {classes}, received {labels[record]}"
        )
    planes = records[:, label_bytes:].reshape(-1, 3, 32, 32)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


_READERS = {
    **dict.fromkeys(("mnist", "fashion_mnist", "kmnist"), _mnist),
    "cifar10": _cifar10,
    "cifar100": _cifar100,
}
