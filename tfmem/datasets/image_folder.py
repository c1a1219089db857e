"""Folders of image files, one folder a class: read into memory, or indexed and left on disk."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from tfmem.config import DatasetSettings
from tfmem.datasets.cache import Arrays, cached
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.encoded import DIGEST_BYTES, EncodedImages, describe
from tfmem.datasets.streamed import AnyDataset, StreamedDataset, default_resize
from tfmem.errors import InputError

_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp")
_BAR_FROM = 10_000  # files to be read from which on a progress bar is shown


@dataclass(frozen=True)
class _Listing:
    """The image files of one split, sorted by class name and then by file name.

    Attributes:
      folder: the split's folder.
      files: bytes `[num_files]`, `class/file` below it.
      labels: int64 `[num_files]`.
    """

    folder: Path
    files: np.ndarray
    labels: np.ndarray

    def paths(self) -> list[str]:
        return [os.path.join(self.folder, os.fsdecode(file)) for file in self.files]


def load_image_folder(root: Path, settings: DatasetSettings) -> AnyDataset:
    """Reads `root/train/CLASS/*` and `root/TEST_SPLIT/CLASS/*` (png, jpg, jpeg and bmp).

    Classes are the sorted names of the folders in `train`; an example's index is its rank by class
    name and file name. With `dataset.image_size` images stay on disk; otherwise they must be of
    one size.

    Raises:
      InputError: naming the folder or file that is missing or wrong.
    """
    classes = _folders(root / "train")
    train = _list(root / "train", classes)
    test = _list(root / settings.test_split, classes)
    if settings.image_size is None:
        images = _decode_all(train.paths() + test.paths())
        count = len(train.labels)
        return Dataset(
            root.name, images[:count], train.labels, images[count:], test.labels, classes
        )
    return StreamedDataset(
        root.name,
        _index(train),
        train.labels,
        _index(test),
        test.labels,
        classes,
        settings.image_size,
        settings.resize or default_resize(settings.image_size),
    )


def _folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted; hidden ones are none."""
    try:
        with os.scandir(folder) as entries:
            names = [e.name for e in entries if e.is_dir() and not e.name.startswith(".")]
    except OSError as error:
        raise InputError(
            f"dataset.data_dir: expected a folder of class folders at {folder}: {error.strerror}"
        ) from None
    return tuple(sorted(names))


def _list(folder: Path, classes: tuple[str, ...]) -> _Listing:
    files: list[bytes] = []
    labels: list[int] = []
    for name in _folders(folder):
        if name not in classes:
            raise InputError(
                f"{folder / name}: expected only classes that 'train' has, received {name!r}"
            )
        with os.scandir(folder / name) as entries:
            found = sorted(
                entry.name
                for entry in entries
                if entry.name.lower().endswith(_SUFFIXES) and not entry.name.startswith(".")
            )
        if not found:
            raise InputError(f"{folder / name}: expected image files ({', '.join(_SUFFIXES)})")
        files += [os.fsencode(f"{name}/{file}") for file in found]
        labels += [classes.index(name)] * len(found)
    if not files:
        raise InputError(f"{folder}: expected a folder for each class, found none")
    return _Listing(folder, np.array(files), np.array(labels, np.int64))


def _decode_all(paths: list[str]) -> np.ndarray:
    """All images: uint8 `[num_paths, height, width, channels]`, 1 channel if all are grey."""
    images, grey = np.empty((0, 0, 0, 0), np.uint8), True
    with ThreadPoolExecutor() as pool:
        for row, (pixels, is_grey) in enumerate(pool.map(_decode, paths)):
            if row == 0:
                images = np.empty((len(paths), *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                raise InputError(
                    f"{paths[row]}: expected images of one size, {images.shape[1]}x"
                    f"{images.shape[2]} as {paths[0]}, received {pixels.shape[0]}x"
                    f"{pixels.shape[1]}; set dataset.image_size to train on images of any size"
                )
            images[row] = pixels
            grey &= is_grey
    return np.ascontiguousarray(images[..., :1]) if grey else images


def _decode(path: str) -> tuple[np.ndarray, bool]:
    try:
        with Image.open(path) as image:
            if image.mode.startswith(("I", "F")):
                raise InputError(f"{path}: expected 8 bits a channel, received mode {image.mode}")
            return np.asarray(image.convert("RGB")), image.mode in ("1", "L")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not an image that can be decoded: {error}") from None


def _index(listing: _Listing) -> EncodedImages:
    """Reads every file, once."""
    paths = listing.paths()
    states = [os.stat(path) for path in paths]
    lengths = np.array([state.st_size for state in states], np.int64)
    files = hashlib.sha256(b"\0".join(listing.files.tolist())).hexdigest()
    changed = np.array([state.st_mtime_ns for state in states], np.int64)
    key = [str(listing.folder.resolve()), files, *(_hash(a) for a in (lengths, changed))]
    kind = f"{listing.folder.parent.name}-{listing.folder.name}"
    described = cached(kind, key, {"sizes", "digests"}, lambda: _describe_all(paths))
    count = len(paths)
    return EncodedImages(
        str(listing.folder),
        listing.files,
        np.arange(count, dtype=np.int32),
        np.zeros(count, np.int64),
        lengths,
        **described,
    )


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()


def _describe_all(paths: list[str]) -> Arrays:
    def described(path: str) -> tuple[bytes, tuple[int, int]]:
        try:
            return describe(Path(path).read_bytes(), path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from None

    digests, sizes = bytearray(), []
    with ThreadPoolExecutor() as pool:
        for digest, size in track(
            pool.map(described, paths),
            "reading image files",
            total=len(paths),
            transient=True,
            disable=len(paths) < _BAR_FROM,
        ):
            digests += digest
            sizes.append(size)
    return {
        "digests": np.frombuffer(bytes(digests), np.uint8).reshape(-1, DIGEST_BYTES),
        "sizes": np.array(sizes, np.int32),
    }
