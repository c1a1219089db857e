"""Shards of predictions: files `predictions-SSSSS-of-NNNNN.tfrecord` with a record for each trial.

A shard has its name only when it is complete. The name says how many shards there must be. While
trials are added to a run, shards of the old number exist beside new ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from tfmem.store.files import write_atomically
from tfmem.store.folders import Folder
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import parse_shard_name, read_records, shard_name

_KIND = "predictions"


def predictions_name(shard: int, count: int) -> str:
    """Returns the name of one of `count` shards."""
    return shard_name(_KIND, shard, count)


def parse_predictions_name(name: str) -> int | None:
    """Parses the number of a shard of predictions from its name; None for other names."""
    parsed = parse_shard_name(name)
    return parsed[1] if parsed and parsed[0] == _KIND else None


def found_shards(folder: Folder) -> dict[int, str]:
    """Finds the names of the shards in a folder, by their numbers.

    If trials were added to the run, a shard may exist under two names, whose numbers of shards
    differ. Then the name is that of the larger file.

    Raises:
      FileNotFoundError: if another program renames a shard at this moment.
    """
    found: dict[int, str] = {}
    for name in folder.names():
        shard = parse_predictions_name(name)
        if shard is None:
            continue
        other = found.setdefault(shard, name)
        if other != name and folder.size(name) >= folder.size(other):
            found[shard] = name
    return found


def shards_in(folder: Path) -> list[str]:
    """Lists the paths of the prediction shards in a folder, in order."""
    return [str(path) for path in sorted(folder.glob(f"{_KIND}-*.tfrecord"))]


def read_shard(path: str | os.PathLike[str]) -> Iterator[TrialRecord]:
    """Yields the records of a local shard."""
    with open(path, "rb") as file:
        yield from parse_shard(file, str(path))


def parse_shard(file: BinaryIO, source: str) -> Iterator[TrialRecord]:
    """Yields the records of an open shard; `source` is what errors call it."""
    for payload, where in read_records(file, source):
        yield TrialRecord.from_example(payload, where)


def write_shard(path: Path, records: Iterable[TrialRecord]) -> None:
    """Writes a local shard; it appears under its name only when it is complete and on disk."""
    write_atomically(path, (record.to_example() for record in records))
