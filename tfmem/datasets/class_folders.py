"""Finds the image files in class folders, and counts all other files."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.datasets.encoded import shown_path
from tfmem.messages.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
_KINDS = 8  # kinds of left-out files that a note lists one by one
_LETTERS = 12  # letters of a suffix that a note shows


@dataclass(frozen=True)
class Listing:
    """The image files of one split, sorted by class name and then by file name.

    Attributes:
      folder: the split's folder.
      files: bytes `[num_files]`, the path `class/file` of each image within `folder`.
      labels: int64 `[num_files]`.
      left_out: number of files of each kind that are no examples, including files in deeper
        folders.
    """

    folder: Path
    files: np.ndarray
    labels: np.ndarray
    left_out: Counter[str]

    def paths(self) -> list[str]:
        """The path of each file."""
        return [os.path.join(self.folder, os.fsdecode(file)) for file in self.files]

    def note(self) -> str | None:
        """A sentence on the files that were left out; None if there are none."""
        return (
            f"{shown_path(self.folder.name)}: left out {_counts(self.left_out)}"
            if self.left_out
            else None
        )


def class_names(folder: Path) -> tuple[str, ...]:
    """Sorted names of the class folders in `folder`.

    Raises:
      InputError: if `folder` does not exist, or a name in it is not UTF-8.
    """
    return _names(_entries(folder), folder)


def list_split(folder: Path, classes: tuple[str, ...]) -> Listing:
    """The examples of a split, and counts of the other files in its folder.

    Hidden files and folders are no examples, nor are folders within a class folder.

    Args:
      folder: folder of the split.
      classes: names of all classes, sorted.

    Raises:
      InputError: if a class has no folder, or a folder has no class or no images.
    """
    files: list[bytes] = []
    labels: list[int] = []
    beside = _entries(folder)
    names = _names(beside, folder)
    left_out = Counter(_kind(entry) for entry in beside if entry.name not in names)
    for name in names:
        if name not in classes:
            raise InputError(
                f"{shown_path(os.fspath(folder / name))}: expected only classes that 'train' has, "
                f"received {name!r}"
            )
        found, others = [], Counter[str]()
        for entry in _entries(folder / name):
            if _is_image(entry):
                found.append(entry.name)
            else:
                others += _kinds(entry)
        if not found:
            instead = f", found {_counts(others)}" if others else ", found an empty folder"
            raise InputError(
                f"{folder / name}: expected image files ({', '.join(SUFFIXES)}){instead}"
            )
        files += [os.fsencode(f"{name}/{file}") for file in sorted(found)]
        labels += [classes.index(name)] * len(found)
        left_out += others
    if not files:
        raise InputError(f"{folder}: expected a folder for each class, found none")
    return Listing(folder, np.array(files), np.array(labels, np.int64), left_out)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise InputError(
            "dataset.data_dir: expected a folder of class folders at "
            f"{shown_path(os.fspath(folder))}: {error.strerror}"
        ) from None


def _names(entries: Iterable[os.DirEntry[str]], folder: Path) -> tuple[str, ...]:
    names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    if unreadable := [os.fsencode(name) for name in names if not _is_text(name)]:
        raise InputError(
            f"{folder}: expected names of class folders in UTF-8, received "
            f"{', '.join(map(repr, unreadable))}; rename them"
        )
    return tuple(names)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_image(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".")
    return not hidden and entry.name.lower().endswith(SUFFIXES) and not entry.is_dir()


def _kinds(entry: os.DirEntry[str]) -> Counter[str]:
    """Counts an entry that is no example by its kind; a folder counts all files within it."""
    if not entry.is_dir() or entry.name.startswith("."):
        return Counter([_kind(entry)])
    files = sum(len(names) for _, _, names in os.walk(entry.path))
    return Counter({"folders": 1, "in folders": files})


def _kind(entry: os.DirEntry[str]) -> str:
    """The name of the kind of an entry that is no example."""
    if entry.name.startswith("."):
        return "hidden"
    if entry.is_dir():
        return "folders"
    suffix = os.path.splitext(entry.name)[1].lower()
    plain = suffix.isprintable() and suffix.isascii() and len(suffix) <= _LETTERS
    return suffix if plain else "other"


def _counts(kinds: Counter[str]) -> str:
    """The counts of each kind as text, the most frequent first."""
    listed = sorted(kinds.items(), key=lambda each: (-each[1], each[0]))[:_KINDS]
    words = [f"{count:,} {_called(kind, count)}" for kind, count in listed]
    if rest := kinds.total() - sum(count for _, count in listed):
        words.append(f"{rest:,} of other kinds")
    return ", ".join(words)


def _called(kind: str, count: int) -> str:
    if kind == "folders":
        return "folder" if count == 1 else kind
    if kind == "in folders":
        return "file in a folder" if count == 1 else "files in folders"
    files = "file" if count == 1 else "files"
    return f"{kind} {files}" if kind else f"{files} without a suffix"
