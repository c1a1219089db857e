"""Indices of large data sets, which are kept so that only the first run reads all files through."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.files import complete_file, remove_leftovers
from tfmem.store.npz import read_npz, write_npz

Arrays = dict[str, np.ndarray]


def cached(kind: str, key: Any, names: set[str], build: Callable[[], Arrays]) -> Arrays:
    """Returns the arrays that an earlier run built for the same `key`, or builds and keeps them.

    Args:
      kind: beginning of the file's name.
      key: everything that decides the arrays, as JSON can hold it.
      names: names of the arrays; a file with other names is ignored.
      build: makes the arrays. It is called if there is no file that can be used.
    """
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()
    path = cache_folder() / f"{kind}-{digest[:32]}.npz"
    if (arrays := _read(path)) is not None and set(arrays) == names:
        return arrays
    arrays = build()
    try:
        _write(path, arrays)
    except OSError as error:
        logging.getLogger(__name__).warning(
            "%s: the index cannot be kept for the next run: %s", path, error.strerror
        )
    return arrays


def cache_folder() -> Path:
    """The folder for cached files: `TFMEM_CACHE`, or `~/.cache/tfmem`."""
    return Path(os.environ.get("TFMEM_CACHE") or "~/.cache/tfmem").expanduser()


def file_states(paths: list[str]) -> list[tuple[str, int, int]]:
    """Name, size and time of change (in ns) of each file, which reveal a changed file."""
    states = map(os.stat, paths)
    return [
        (os.path.basename(path), state.st_size, state.st_mtime_ns)
        for path, state in zip(paths, states, strict=True)
    ]


def _read(path: Path) -> Arrays | None:
    try:
        return read_npz(path)
    except InputError:
        return None


def _write(path: Path, arrays: Arrays) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(path.parent)
    with complete_file(path) as file:
        write_npz(file, arrays)
