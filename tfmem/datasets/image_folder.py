"""Data sets of image files in one folder for each class: read into memory, or indexed on disk."""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import psutil
from rich.progress import track

from tfmem.config import DatasetSettings
from tfmem.datasets.bad_files import BadFiles
from tfmem.datasets.cache import Arrays, cached
from tfmem.datasets.class_folders import Listing, class_names, list_split
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.encoded import (
    EncodedImages,
    described,
    digest_and_header,
    read_file,
    shown_path,
)
from tfmem.datasets.pixels import SAID, Header, Trait, decode, read_header
from tfmem.datasets.streamed import AnyDataset, StreamedDataset, default_resize
from tfmem.messages.errors import InputError

_FORMAT = 1  # version of the cached arrays
_NAMES = {"sizes", "traits", "digests"}
_CHUNK = 4096  # files whose descriptions are held as objects at a time
_BAR_FROM = 10_000  # files from which on reading shows a progress bar

T = TypeVar("T")


def load_image_folder(root: Path, settings: DatasetSettings) -> AnyDataset:
    """Reads `root/train/CLASS/*` and `root/TEST_SPLIT/CLASS/*`.

    Classes are the sorted names of the folders in `train`; an example's index is its rank by class
    name and file name. With `dataset.image_size` images stay on disk; otherwise they must all have
    the same size. The data set's notes say what was left out, and what was done to images.

    Raises:
      InputError: if a folder is missing or wrong, or files cannot be read; the error names them.
    """
    classes = class_names(root / "train")
    splits = [list_split(root / "train", classes), list_split(root / settings.test_split, classes)]
    labels = [split.labels for split in splits]
    name = shown_path(root.name)
    if settings.image_size is None:
        paths = [split.paths() for split in splits]
        images, traits = _decode_all([*paths[0], *paths[1]])
        count = len(paths[0])
        return Dataset(
            name, images[:count], labels[0], images[count:], labels[1], classes,
            notes=_notes(splits, [traits[:count], traits[count:]]),
        )  # fmt: skip
    train, test = _index_all(splits)
    resize = settings.resize or default_resize(settings.image_size)
    return StreamedDataset(
        name, train, labels[0], test, labels[1], classes, settings.image_size, resize,
        notes=_notes(splits, [train.traits, test.traits]),
    )  # fmt: skip


def _notes(splits: Sequence[Listing], traits: Sequence[np.ndarray]) -> tuple[str, ...]:
    notes = []
    for split, found in zip(splits, traits, strict=True):
        if note := split.note():
            notes.append(note)
        for trait, what in SAID.items():
            if count := np.count_nonzero(found & trait):
                images = "image is" if count == 1 else "images are"
                notes.append(f"{shown_path(split.folder.name)}: {count:,} {images} {what}")
    return tuple(notes)


def _tried(work: Callable[[int], T], paths: Sequence[str]) -> Iterator[T | InputError]:
    """Yields the result of `work` for the number of each path, in order, or the error it raised."""

    def attempt(row: int) -> T | InputError:
        try:
            return work(row)
        except InputError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from track(
            pool.map(attempt, range(len(paths))),
            "reading image files",
            total=len(paths),
            transient=True,
            disable=len(paths) < _BAR_FROM,
        )


def _decode_all(paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Decodes all images to uint8 `[num_paths, height, width, channels]`, and returns their traits.

    There is 1 channel if all images are grey. Sizes are compared before memory is allocated.
    """

    def header(row: int) -> Header:
        return read_header(read_file(paths[row]), shown_path(paths[row]))

    def fill(row: int) -> None:
        if row not in problems:
            picture = decode(read_file(paths[row]), shown_path(paths[row]))
            images[row] = np.asarray(picture.convert(mode)).reshape(images.shape[1:])

    headers = list(_tried(header, paths))
    good = [header for header in headers if isinstance(header, Header)]
    problems = {row: str(e) for row, e in enumerate(headers) if isinstance(e, InputError)}
    if not good:
        raise BadFiles(list(problems.values()))
    (size, count), *others = Counter((each.height, each.width) for each in good).most_common()
    for row, each in enumerate(headers if others else ()):
        if isinstance(each, Header) and (each.height, each.width) != size:
            problems[row] = (
                f"{shown_path(paths[row])}: expected images of one size, {size[0]}x{size[1]} as "
                f"{count:,} are, received {each.height}x{each.width}; set dataset.image_size to "
                "train on images of any size"
            )
    mode = "L" if all(each.traits & Trait.GREY for each in good) else "RGB"
    images = _room(len(paths), *size, len(mode))
    problems |= {
        row: str(error) for row, error in enumerate(_tried(fill, paths)) if error is not None
    }
    if problems:
        raise BadFiles([problems[row] for row in sorted(problems)])
    return images, np.array([each.traits for each in good], np.uint8)


def _room(*shape: int) -> np.ndarray:
    needed, free = math.prod(shape), psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"dataset.data_dir: {shape[0]:,} images of {shape[1]}x{shape[2]} take "
            f"{needed / 2**30:.1f} GiB in memory, of which {free / 2**30:.1f} are free; set "
            "dataset.image_size to read them while training"
        )
    return np.empty(shape, np.uint8)


def _index_all(splits: Sequence[Listing]) -> list[EncodedImages]:
    """Reads every file of all splits once, and returns the index of each split."""
    found: list[EncodedImages] = []
    problems: list[str] = []
    for split in splits:
        try:
            found.append(_index(split))
        except BadFiles as bad:
            problems += bad.problems
    if problems:
        raise BadFiles(problems)
    return found


def _index(listing: Listing) -> EncodedImages:
    paths = listing.paths()
    states = np.array([_state(path) for path in paths], np.int64)
    files = hashlib.sha256(b"\0".join(listing.files.tolist())).hexdigest()
    changed = hashlib.sha256(states.tobytes()).hexdigest()
    key = [_FORMAT, shown_path(str(listing.folder.resolve())), files, changed]
    kind = f"{listing.folder.parent.name}-{listing.folder.name}"
    found = cached(kind, key, _NAMES, lambda: _describe_all(paths))
    count = len(paths)
    return EncodedImages(
        str(listing.folder),
        listing.files,
        np.arange(count, dtype=np.int32),
        np.zeros(count, np.int64),
        states[:, 0],
        **found,
    )


def _state(path: str) -> tuple[int, int]:
    """Size and time of change of a file; reading it reports later if it cannot be read."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, 0
    return found.st_size, found.st_mtime_ns


def _describe_all(paths: list[str]) -> Arrays:
    parts: list[Arrays] = []
    chunk: list[tuple[bytes, Header]] = []
    problems = []
    for found in _tried(
        lambda row: digest_and_header(read_file(paths[row]), shown_path(paths[row])), paths
    ):
        if isinstance(found, InputError):
            problems.append(str(found))
            continue
        chunk.append(found)
        if len(chunk) == _CHUNK:
            parts.append(described(chunk))
            chunk = []
    if problems:
        raise BadFiles(problems)
    parts.append(described(chunk))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
