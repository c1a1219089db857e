"""Detects changes of files by their names, sizes and times, without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path


def listing_digest(path: Path) -> str:
    """Hashes the name, size and time of change of a file, or of all files below a folder.

    Hidden files and folders do not count. Names are relative to the folder, so a copy that keeps
    times has the same hash. Links are followed, unless they lead back to a folder above. Memory
    holds the names of one folder at a time, and no file is opened.

    Args:
      path: a file or folder; if it does not exist, it has a hash of its own.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for name, found in _below(os.fspath(path), "", ()):
            digest.update(f"{name}\0{found.st_size}\0{found.st_mtime_ns}\n".encode(*_NAMES))
    elif path.exists():
        found = path.stat()
        digest.update(f"\0{found.st_size}\0{found.st_mtime_ns}".encode())
    return digest.hexdigest()


_NAMES = "utf-8", "surrogateescape"


def _below(
    folder: str, prefix: str, above: tuple[str, ...]
) -> Iterator[tuple[str, os.stat_result]]:
    """Yields the names and properties of the files below a folder, in order of their names."""
    place = os.path.realpath(folder)
    if place in above:
        return
    with os.scandir(folder) as entries:
        visible = sorted((e for e in entries if e.name[0] != "."), key=lambda e: e.name)
    for entry in visible:
        try:
            if entry.is_dir():
                yield from _below(entry.path, f"{prefix}{entry.name}/", (*above, place))
            else:
                yield f"{prefix}{entry.name}", entry.stat()
        except FileNotFoundError:  # a link that leads nowhere, or a file just removed
            yield f"{prefix}{entry.name}", entry.stat(follow_symlinks=False)
