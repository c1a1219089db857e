"""Artifacts that lie outside an orchestrator's store, which holds only a list of their files.

Orchestrators delete the outputs of a step that failed. Models that took hours must outlive that, so
they stay in a folder of their own.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.json_files import read_object, value_of

MANIFEST_NAME = "listed.json"


def write_manifest(artifact: Path, location: Path) -> None:
    """Lists the files of a folder in the folder of its artifact.

    Args:
      artifact: receives the list.
      location: the folder whose files are listed, without hidden files and folders below it.
    """
    content = {"location": str(location.absolute()), "sha256": _digests(location)}
    write_atomically(artifact / MANIFEST_NAME, json.dumps(content, indent=1).encode())


def resolve(artifact: Path) -> Path:
    """The folder that an artifact stands for: the artifact itself, unless it holds a list.

    Raises:
      InputError: if the list is damaged, or a file in it is missing or has changed.
    """
    manifest = artifact / MANIFEST_NAME
    if not manifest.exists():
        return artifact
    content = read_object(manifest)
    location = Path(value_of(content, "location", str, str(manifest)))
    expected = value_of(content, "sha256", dict, str(manifest))
    there = _digests(location)
    for name, digest in expected.items():
        if there.get(name) != digest:
            state = "has changed" if name in there else "is missing"
            raise InputError(
                f"{location / name}: {state} since {manifest} was written: remove {artifact} "
                "and run again to have it made anew"
            )
    return location


def _digests(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.glob("*") if path.is_file() and path.name[0] != ".")
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}
