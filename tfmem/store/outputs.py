"""Replaces the outputs of a step of a run, on this machine: all of them in one moment, or none.

A step writes to a folder of its own. When it is done, one rename makes that folder valid; only then
do its outputs replace the earlier ones, one by one. Meanwhile readers look for each output in both
places (see `current_place`).
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from tfmem.messages.errors import InputError
from tfmem.store.files import remove_leftovers, write_atomically
from tfmem.store.json_files import read_object
from tfmem.store.owners import OWNER, is_abandoned, new_owner

_UNFINISHED = ".unfinished-"
_FINISHED = ".finished-"
_PLACES = "places.json"


def unfinished_folder(folder: Path, step: str) -> Path:
    """Makes a folder, within the run's, for the outputs of a step; no other program uses it."""
    made = folder / f"{_UNFINISHED}{step}-{new_owner()}"
    made.mkdir(parents=True)
    return made


def publish_outputs(made: Path, folder: Path, places: Mapping[str, str]) -> None:
    """Moves the outputs of a step to their places.

    Args:
      made: the step's folder, within the run's and on the same file system; it is removed.
      folder: the run's folder.
      places: for each name in the step's folder, its place relative to the run's folder.
    """
    write_atomically(made / _PLACES, json.dumps(dict(places)).encode())
    finished = folder / f"{_FINISHED}{made.name.lstrip('.')}"
    shutil.rmtree(finished, ignore_errors=True)
    os.replace(made, finished)
    _move(finished, folder)


def settle_outputs(folder: Path) -> None:
    """Moves finished outputs of killed processes to their places, and removes unfinished ones."""
    _settle(folder, _FINISHED, _UNFINISHED)
    for place in (folder, *(path for path in folder.glob("[!.]*") if path.is_dir())):
        remove_leftovers(place)


def settle_step(folder: Path, step: str) -> None:
    """Does the same as `settle_outputs` for one step, in a folder that need not be a run's."""
    unfinished = f"{_UNFINISHED}{step}-"
    _settle(folder, f"{_FINISHED}{unfinished.lstrip('.')}", unfinished)


def _settle(folder: Path, finished_prefix: str, unfinished_prefix: str) -> None:
    for finished in sorted(folder.glob(f"{finished_prefix}*")):
        _move(finished, folder)
    for left in folder.glob(f"{unfinished_prefix}*"):
        owner = re.search(f"(?:{OWNER})?$", left.name)
        with contextlib.suppress(FileNotFoundError):  # another program was faster
            if is_abandoned(owner[0] if owner else "", left.stat().st_mtime):
                shutil.rmtree(left, ignore_errors=True)


def current_place(folder: Path, place: str) -> Path:
    """Returns where an output is now: in its place in a run's folder, or still in a step's."""
    for finished in sorted(folder.glob(f"{_FINISHED}*")):
        for name, final in _places(finished).items():
            if final == place and (finished / name).exists():
                return finished / name
    return folder / place


def _move(finished: Path, folder: Path) -> None:
    for name, place in _places(finished).items():
        new, final, old = finished / name, folder / place, finished / f"old-{name}"
        if new.exists():
            if final.is_dir():  # directories cannot replace each other in one move
                shutil.rmtree(old, ignore_errors=True)
                os.replace(final, old)
            os.replace(new, final)
    shutil.rmtree(finished, ignore_errors=True)


def _places(finished: Path) -> dict[str, str]:
    """Reads the places of the outputs in a step's folder; none if the folder is being removed."""
    try:
        return read_object(finished / _PLACES)
    except InputError:
        return {}
