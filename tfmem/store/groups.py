"""Groups of training examples, and the file that lists them.

A file of groups is CSV with the header `index,group`. Each line holds the index of a training
example and the name of its group, which is any text. An example may be in several groups unless
subsets are drawn by group.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.spreadsheets import harmless, restored

GROUPS_NAME = "groups.csv"  # the copy beside the predictions, if a run draws subsets by group
HEADER = ["index", "group"]
Groups = Mapping[str, np.ndarray]


def read_groups(path: str | os.PathLike[str], num_train: int | None = None) -> Groups:
    """Reads a file of groups; see `parse_groups`."""
    try:
        contents = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"{path}: groups cannot be read: {error.strerror}") from None
    return parse_groups(contents, str(path), num_train)


def parse_groups(contents: bytes, source: str, num_train: int | None = None) -> Groups:
    """Reads the groups in the contents of a file.

    Args:
      contents: CSV in UTF-8 with the header `index,group`.
      source: what the file is called in error messages.
      num_train: number of training examples; None allows any index.

    Returns:
      The examples of each group, int64 `[size]`, ascending. Groups are in the order of their first
      examples, then of their names, whatever the order of lines.

    Raises:
      InputError: naming the line that lacks the index of a training example, lacks a group, or
        repeats another line.
    """
    try:
        lines = csv.reader(io.StringIO(contents.decode("utf-8-sig"), newline=""), strict=True)
        rows = [(lines.line_num, row) for row in lines if row]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: not a CSV file in UTF-8: {error}") from None
    if not rows or [name.strip() for name in rows[0][1]] != HEADER:
        found = repr(",".join(rows[0][1])[:60]) if rows else "an empty file"
        raise InputError(f"{source}: expected the header 'index,group', received {found}")
    seen: dict[tuple[int, str], int] = {}
    for line, row in rows[1:]:
        member = _member(row, f"{source}: line {line}", num_train)
        if seen.setdefault(member, line) != line:
            raise InputError(
                f"{source}: line {line}: example {member[0]} is in group {member[1]!r} already "
                f"(line {seen[member]})"
            )
    if not seen:
        raise InputError(f"{source}: expected at least one line below the header, received none")
    members: dict[str, list[int]] = {}
    for index, name in sorted(seen):
        members.setdefault(name, []).append(index)
    return {name: np.array(indices, np.int64) for name, indices in members.items()}


def _member(row: Sequence[str], where: str, num_train: int | None) -> tuple[int, str]:
    if len(row) != len(HEADER):
        raise InputError(f"{where}: expected an index and a group, received {len(row)} values")
    index, name = (value.strip() for value in row)
    expected = "a number from 0" if num_train is None else f"a number from 0 to {num_train - 1}"
    known = index.isascii() and index.isdigit() and len(index) < 19
    if not known or (num_train is not None and int(index) >= num_train):
        raise InputError(
            f"{where}: index: expected {expected}, a training example's, received {index[:40]!r}"
        )
    if not name:
        raise InputError(f"{where}: group: expected a name, received nothing")
    return int(index), restored(name)


def groups_to_csv(groups: Groups) -> bytes:
    """Returns the contents of a file of groups."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    for name, members in groups.items():
        writer.writerows((index, harmless(name)) for index in members.tolist())
    return text.getvalue().encode()
