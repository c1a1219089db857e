"""Manifests say which files belong together, what each contains, and from what they were made.

A manifest is the JSON file `manifest.json` in the folder of its files:

    {
      "schema_version": 1,
      "made_from": {"predictions": "b1946ac9…", "trials": 2000, …},
      "files": {"pairs-00000-of-00001.tfrecord": {"size": 9216, "crc32c": "1f3a…", "records": 96}}
    }

While a set is being published, the manifest also has a part `publishing`; see
`tfmem.store.publishing`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tfmem.messages.errors import InputError
from tfmem.store.records import parse_shard_name

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
MOST_BYTES = 1 << 26  # largest size of a manifest; 100,000 files take 12 MB


class FileFacts(NamedTuple):
    """Facts about a file: its size in bytes, its CRC-32C in hexadecimal, its number of records.

    A file that is no TFRecord file, such as a table, has 0 records.
    """

    size: int
    crc32c: str
    records: int


@dataclass(frozen=True)
class Manifest:
    """The files of a set.

    Attributes:
      made_from: from what the set was made, such as the digest of predictions; the sets of one
        estimation agree in this.
      files: facts about the files by name; all files are in one folder.
    """

    made_from: Mapping[str, Any]
    files: Mapping[str, FileFacts]

    def names(self, kind: str) -> list[str]:
        """The names of the files of a kind, ascending."""
        return sorted(name for name in self.files if _kind(name) == kind)

    @property
    def kinds(self) -> set[str]:
        """The kinds of the files."""
        return {kind for name in self.files if (kind := _kind(name))}

    def count(self, kind: str) -> int:
        """The number of records of a kind."""
        return sum(self.files[name].records for name in self.names(kind))

    def to_json(self) -> dict[str, Any]:
        """Returns the manifest as values that JSON can hold."""
        files = {name: facts._asdict() for name, facts in sorted(self.files.items())}
        return {"made_from": dict(self.made_from), "files": files}


@dataclass(frozen=True)
class Publishing:
    """A set that is being published, in several folders at once.

    It is valid once the manifest of the first of these folders says that this set is published.

    Attributes:
      identity: a name that no other set has.
      work: the folder, within that of the manifest, of files that have not been moved yet.
      first: the path of the first folder, relative to this one; `.` is this one.
      others: the paths of the other folders, relative to the first; empty in their own manifests.
      manifest: the manifest that stays when all files have been moved.
    """

    identity: str
    work: str
    first: str
    others: tuple[str, ...]
    manifest: Manifest

    def to_json(self) -> dict[str, Any]:
        """Returns the part `publishing` as values that JSON can hold."""
        own = {"identity": self.identity, "work": self.work, "first": self.first}
        return {**own, "others": list(self.others), **self.manifest.to_json()}


@dataclass(frozen=True)
class State:
    """The contents of the manifest in a folder.

    Attributes:
      current: the files that have their final names; None if they were not published by a
        manifest.
      publishing: a set whose files are being moved to their final names.
    """

    current: Manifest | None
    publishing: Publishing | None = None

    def to_bytes(self) -> bytes:
        """Returns the contents of the file; equal sets give equal bytes."""
        said: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        if self.current:
            said |= self.current.to_json()
        if self.publishing:
            said["publishing"] = self.publishing.to_json()
        return json.dumps(said, indent=1, sort_keys=True).encode() + b"\n"


def parse_state(contents: bytes, source: str) -> State:
    """Reads the contents of a manifest.

    Raises:
      InputError: naming `source`, if it is no manifest, or was written by a later version.
    """
    try:
        said = json.loads(contents)
        version = said["schema_version"]
        if type(version) is int and version > SCHEMA_VERSION:
            raise InputError(
                f"{source}: written by a later tfmem: expected schema_version {SCHEMA_VERSION}, "
                f"received {version}"
            )
        current = _manifest(said) if "files" in said else None
        if "publishing" not in said:
            return State(current)
        part = said["publishing"]
        names = (part["identity"], part["work"], part["first"], *part["others"])
        if not all(isinstance(name, str) for name in names) or not _is_plain(part["work"]):
            raise ValueError("publishing: expected names of folders")
        others = tuple(part["others"])
        made = Publishing(part["identity"], part["work"], part["first"], others, _manifest(part))
        return State(current, made)
    except InputError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{source}: not a manifest: {error!r}") from None


def _manifest(said: Mapping[str, Any]) -> Manifest:
    files = {}
    for name, each in said["files"].items():
        facts = FileFacts(each["size"], each["crc32c"], each["records"])
        counts = facts.size, facts.records
        if not _is_plain(name) or not all(type(n) is int and n >= 0 for n in counts):
            raise ValueError(f"files: {name!r}: expected a name, a size and a number of records")
        files[name] = facts
    if not isinstance(said["made_from"], dict):
        raise ValueError("made_from: expected names and values")
    return Manifest(said["made_from"], files)


def _is_plain(name: str) -> bool:
    """Whether a name leads to nothing outside its folder."""
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name


def _kind(name: str) -> str:
    parsed = parse_shard_name(name)
    return parsed[0] if parsed else ""
