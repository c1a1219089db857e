"""Decisions that programs which share a folder make once: one program decides, the others wait."""

from __future__ import annotations

import time
from collections.abc import Callable

from tfmem.store.claims import Claims
from tfmem.store.folders import Folder

_LOOK_SECONDS = 0.5


def decided(
    folder: Folder,
    name: str,
    holds: Callable[[bytes], bool],
    decide: Callable[[], bytes],
    say: Callable[[str], None],
) -> bytes:
    """The contents of the file in which a decision is recorded, which is made if there is none.

    Args:
      folder: the folder that the programs share, which is made if it does not exist.
      name: the file's name.
      holds: whether contents of the file are a decision that still holds; any other is replaced.
      decide: decides, and returns the contents; called in one program at a time.
      say: told whom this program waits for.
    """
    if (there := _read(folder, name)) is not None and holds(there):
        return there
    told = ""
    with Claims(folder.child(".components").child("claims"), "decision") as claims:
        while not claims.take(name):
            holder = claims.holder(name)
            if holder and holder.where != told:
                told = holder.where
                say(f"{folder}: waiting for {told}, which decides about {name}")
            time.sleep(_LOOK_SECONDS)
        there = _read(folder, name)
        if there is not None and holds(there):
            return there
        made = decide()
        if there is None:  # the first one counts, even if this program slept and lost its claim
            return folder.create(name, made)
        folder.write(name, made)
        return made


def _read(folder: Folder, name: str) -> bytes | None:
    try:
        return folder.read(name)
    except FileNotFoundError:
        return None
