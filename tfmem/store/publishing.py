"""Publishes sets of files as a whole or not at all, in folders and in buckets.

No file system replaces several files at once. So the files of a set are first written to a folder
of their own, and one write makes all of them valid: that of the manifest in the set's first folder.
Before this write, readers find the older set, none of whose files has been touched. After it, the
files are moved to their names, one by one, and readers find each file where it is at the moment. If
the process is killed, the next one that publishes moves the remaining files.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder, open_folder
from tfmem.store.manifests import (
    MANIFEST_NAME,
    MOST_BYTES,
    Manifest,
    Publishing,
    State,
    parse_state,
)
from tfmem.store.records import parse_shard_name


@dataclass(frozen=True)
class Member:
    """One folder's part of a set that is to be published.

    Attributes:
      folder: where the files are to be.
      work: the name of the folder within `folder` where the files are now; no other set has a
        folder of this name.
      manifest: the facts about the files.
    """

    folder: str
    work: str
    manifest: Manifest


def publish(members: Sequence[Member]) -> None:
    """Makes the files of a set valid, all in one moment, and moves them to their names.

    Args:
      members: the parts of the set, all on one file system.

    Raises:
      InputError: if something cannot be written; even then the set is valid as a whole or not at
        all.
    """
    folders = [open_folder(member.folder) for member in members]
    for folder in folders:
        settle(folder)
    first, identity = folders[0], members[0].work
    others = tuple(first.towards(folder) for folder in folders[1:])
    for member, folder in [*zip(members, folders, strict=True)][::-1]:
        head = folder is first
        made = Publishing(
            identity,
            member.work,
            "." if head else folder.towards(first),
            others if head else (),
            member.manifest,
        )
        current = _state(folder)
        folder.write(MANIFEST_NAME, State(current.current, made).to_bytes())
    settle(first)


def settle(folder: Folder) -> None:
    """Moves the files of a valid set to their final names, in all folders of the set."""
    state = _state(folder)
    made = state.publishing
    if not made or not _is_valid(folder, made):
        return
    for other in made.others:
        settle(folder.beside(other))
    for name in made.manifest.files:
        with contextlib.suppress(FileNotFoundError):  # somebody removed it; readers will say so
            folder.rename(f"{made.work}/{name}", name)
    folder.write(MANIFEST_NAME, State(made.manifest).to_bytes())
    older = [name for name in folder.names() if name not in made.manifest.files]
    for name in older:
        parsed = parse_shard_name(name)
        if parsed and parsed[0] in made.manifest.kinds:
            folder.remove(name)


def is_needed(folder: str | os.PathLike[str], work: str) -> bool:
    """Whether files of a valid set are still in the folder `work`, to which they were written."""
    return valid_manifest(open_folder(folder))[1] == work


def valid_manifest(folder: Folder) -> tuple[Manifest | None, str]:
    """Reads the valid manifest of a folder.

    Returns:
      The manifest, or None without one; and the name of the folder within `folder` where files may
      still be, or an empty text.

    Raises:
      InputError: if the manifest is damaged.
    """
    state = _state(folder)
    made = state.publishing
    if made and _is_valid(folder, made):
        return made.manifest, made.work
    return state.current, ""


def _is_valid(folder: Folder, made: Publishing) -> bool:
    if made.first == ".":
        return True
    head = _state(folder.beside(made.first)).publishing
    return bool(head and head.identity == made.identity and head.first == ".")


def _state(folder: Folder) -> State:
    path = folder.path(MANIFEST_NAME)
    try:
        with folder.open(MANIFEST_NAME) as file:
            contents = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return State(None)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(contents) > MOST_BYTES:
        raise InputError(f"{path}: expected a manifest, received more than {MOST_BYTES:,} bytes")
    return parse_state(contents, path)
