"""Reads only files that were published as a set (see `tfmem.store.publishing`).

Folders of older versions have no manifest. Their files are read by name; the names say how many
files there must be.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeVar

import google_crc32c

from tfmem.messages.errors import InputError
from tfmem.store.folders import open_folder
from tfmem.store.manifests import MANIFEST_NAME, FileFacts, Manifest
from tfmem.store.publishing import valid_manifest
from tfmem.store.records import parse_shard_name, read_records, shard_name, write_records

Result = TypeVar("Result")
_AGAIN = "make it again, with `tfmem run` or `tfmem estimate`"


def write_counted(file: BinaryIO, payloads: Iterable[bytes]) -> FileFacts:
    """Writes payloads with TFRecord framing; returns the facts about the file for a manifest."""
    counted = _Counted(file)
    records = write_records(counted, payloads)  # type: ignore[arg-type]
    return FileFacts(counted.size, counted.crc32c, records)


def read_manifest(folder: str | os.PathLike[str]) -> Manifest | None:
    """Reads the manifest of the valid files in a folder; None if there is none.

    Raises:
      InputError: if the manifest is damaged.
    """
    return valid_manifest(open_folder(folder))[0]


@dataclass(frozen=True)
class Found:
    """A file of a set.

    Attributes:
      folder: the folder of the set.
      name: the final name of the file in that folder.
      facts: what the manifest says about the file; None without a manifest.
      work: the folder, within `folder`, where the file is until it is moved to its final name.
    """

    folder: str
    name: str
    facts: FileFacts | None = None
    work: str = ""

    @property
    def path(self) -> str:
        """The path of the file under its final name."""
        return open_folder(self.folder).path(self.name)

    def open(self) -> BinaryIO:
        """Opens the file for reading."""
        return self._reached(open_folder(self.folder).open)

    def size(self) -> int:
        """The size of the file in bytes."""
        return self._reached(open_folder(self.folder).size)

    def _reached(self, call: Callable[[str], Result]) -> Result:
        if self.work:
            with contextlib.suppress(FileNotFoundError):  # the file has been moved
                return call(f"{self.work}/{self.name}")
        return call(self.name)


def find_files(folder: str | os.PathLike[str], kind: str) -> list[Found]:
    """Finds the valid files of a kind in a folder, in order.

    Args:
      folder: on this machine, or in a bucket.
      kind: first part of the files' names.

    Raises:
      InputError: naming the file, if a file is missing or has another size than the manifest says.
    """
    place = open_folder(folder)
    manifest, work = valid_manifest(place)
    if manifest is None:
        parsed = [each for name in place.names() if (each := parse_shard_name(name))]
        names = [shard_name(*each) for each in parsed if each[0] == kind]
        check_complete([place.path(name) for name in names], _AGAIN)
        return [Found(place.location, name) for name in names]
    files = [
        Found(place.location, name, manifest.files[name], work) for name in manifest.names(kind)
    ]
    for file in files:
        said = f"{place.path(MANIFEST_NAME)} names it: {_AGAIN}"
        try:
            size = file.size()
        except FileNotFoundError:
            raise InputError(f"{file.path}: not found, but {said}") from None
        expected = manifest.files[file.name].size
        if size != expected:
            raise InputError(
                f"{file.path}: expected {expected:,} bytes, received {size:,}, as {said}"
            )
    return files


def read_set(folder: str | os.PathLike[str], kind: str) -> Iterator[tuple[bytes, str]]:
    """Yields the valid records of a kind in a folder, each with what errors call it.

    Raises:
      InputError: if there are no records, or if a file is missing, damaged, or not the one that the
        manifest names.
    """
    files = find_files(folder, kind)
    if not files:
        raise InputError(f"{folder}: no {kind} records; has the run finished?")
    for file in files:
        with file.open() as opened:
            yield from read_counted(opened, file)


def read_file(folder: str | os.PathLike[str], name: str) -> bytes:
    """Reads the contents of one file: that of the valid set if the set has one of this name.

    Raises:
      InputError: naming the file, if it cannot be read, or is not the one that the manifest names.
    """
    place = open_folder(folder)
    manifest, work = valid_manifest(place)
    facts = manifest.files.get(name) if manifest else None
    file = Found(place.location, name, facts, work if facts else "")
    try:
        with file.open() as opened:
            contents = opened.read()
    except FileNotFoundError as error:
        raise InputError(f"{file.path}: cannot be read: {error.strerror}") from None
    checksum = google_crc32c.Checksum(contents).digest().hex()
    if facts and (len(contents), checksum) != facts[:2]:
        raise InputError(
            f"{file.path}: expected {facts.size:,} bytes with checksum {facts.crc32c} as its "
            f"manifest says, received {len(contents):,} with {checksum}: {_AGAIN}"
        )
    return contents


def read_counted(opened: BinaryIO, file: Found) -> Iterator[tuple[bytes, str]]:
    """Yields the records of an open file, and at its end compares the file with its manifest.

    Raises:
      InputError: naming file and record, if the file is damaged or not the one in the manifest.
    """
    if file.facts is None:
        yield from read_records(opened, file.path)
        return
    counted, number = _Counted(opened), 0
    for record in read_records(counted, file.path):  # type: ignore[arg-type]
        number += 1
        yield record
    received = FileFacts(counted.size, counted.crc32c, number)
    if received != file.facts:
        raise InputError(
            f"{file.path}: expected {_told(file.facts)} as its manifest says, received "
            f"{_told(received)}: {_AGAIN}"
        )


def check_complete(paths: Sequence[str], remedy: str) -> None:
    """Checks that no file of a set of files `KIND-SSSSS-of-NNNNN.tfrecord` is missing.

    Args:
      paths: the paths of all files that exist.
      remedy: what the user should do, for the message.

    Raises:
      InputError: naming the first that is missing.
    """
    sets: dict[tuple[str, str, int], set[int]] = {}
    for path in paths:
        folder, _, name = path.rpartition("/")
        if parsed := parse_shard_name(name):
            kind, shard, shards = parsed
            sets.setdefault((folder, kind, shards), set()).add(shard)
    for (folder, kind, shards), there in sets.items():
        if len(there) < shards:
            absent = next(shard for shard in range(shards) if shard not in there)
            raise InputError(
                f"{folder and folder + '/'}{shard_name(kind, absent, shards)}: not found, but "
                f"{len(there)} of its {shards} shards are there; {remedy}"
            )


def check_together(
    one: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]]
) -> None:
    """Checks that two sets were made by the same estimation.

    Args:
      one: the name of a set, and from what it was made.
      other: name and origin of the other set.

    Raises:
      InputError: naming both sets, if they were made from different predictions or by different
        statistics.
    """
    (name, made), (beside, known) = one, other
    for key in ("predictions", "statistic", "score"):
        if key in made and key in known and made[key] != known[key]:
            raise InputError(
                f"{name}: made from {key} {str(made[key])[:16]}, but {beside} from "
                f"{str(known[key])[:16]}: they are of different estimations; {_AGAIN}"
            )


def _told(facts: FileFacts) -> str:
    return f"{facts.records:,} records in {facts.size:,} bytes with checksum {facts.crc32c}"


class _Counted:
    """Counts the bytes that are read from, or written to, a file, and computes their checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._checksum = google_crc32c.Checksum()
        self.size = 0

    @property
    def crc32c(self) -> str:
        return self._checksum.digest().hex()

    def read(self, size: int) -> bytes:
        return self._count(self._file.read(size))

    def write(self, data: bytes) -> None:
        self._file.write(self._count(data))

    def _count(self, data: bytes) -> bytes:
        self._checksum.update(data)
        self.size += len(data)
        return data
