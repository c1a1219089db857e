"""Writes a set of files from one program, so that all of them become valid in one moment."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c

from tfmem.messages.errors import InputError
from tfmem.store.manifests import FileFacts, Manifest
from tfmem.store.owners import is_abandoned, new_owner
from tfmem.store.publishing import Member, is_needed, publish
from tfmem.store.sets import write_counted

_PREFIX = ".set-"  # differs from the prefix of steps, whose leftovers `outputs` removes


@dataclass(frozen=True)
class Parts:
    """The contents of a file in parts that follow one another, so that none holds all of it."""

    blocks: Iterable[bytes]


def write_set(
    folder: Path,
    made_from: Mapping[str, Any],
    files: Iterable[tuple[str, bytes | Parts | Iterable[bytes]]],
) -> None:
    """Writes files that belong together, and publishes them by one manifest.

    Args:
      folder: receives the files, on this machine; it is made if necessary.
      made_from: from what the files were made (see `tfmem.store.manifests.Manifest`).
      files: names with contents, which are bytes as they are, at once or in parts, or the payloads
        of records; each item is taken when the one before it has been written.

    Raises:
      InputError: naming the file, or the folder, that cannot be written; files that were valid
        before are then still valid.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _discard_stale(folder)
        work = folder / f"{_PREFIX}{new_owner()}"
        work.mkdir()
        try:
            facts = {name: _write(work / name, contents) for name, contents in files}
            publish([Member(str(folder), work.name, Manifest(made_from, facts))])
        finally:
            if not is_needed(folder, work.name):
                shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise _cannot_be_written(folder, error) from None


def _write(path: Path, contents: bytes | Parts | Iterable[bytes]) -> FileFacts:
    try:
        return _written(path, contents)
    except OSError as error:
        raise _cannot_be_written(path.parent.with_name(path.name), error) from None


def _written(path: Path, contents: bytes | Parts | Iterable[bytes]) -> FileFacts:
    with open(path, "wb") as file:
        if isinstance(contents, bytes | Parts):
            checksum = google_crc32c.Checksum()
            for block in [contents] if isinstance(contents, bytes) else contents.blocks:
                file.write(block)
                checksum.update(block)
            facts = FileFacts(file.tell(), checksum.digest().hex(), 0)
        else:
            facts = write_counted(file, contents)
        file.flush()
        os.fsync(file.fileno())
    return facts


def _cannot_be_written(path: Path, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written: {error.strerror or error}")


def _discard_stale(folder: Path) -> None:
    """Removes files that killed programs had not published."""
    for left in folder.glob(f"{_PREFIX}*"):
        with contextlib.suppress(FileNotFoundError):  # another program was faster
            abandoned = is_abandoned(left.name.removeprefix(_PREFIX), left.stat().st_mtime)
            if abandoned and not is_needed(folder, left.name):
                shutil.rmtree(left, ignore_errors=True)
