"""Globs of Beam's file systems, which list and delete by them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.filesystems import FileSystems


def matching(pattern: str) -> list[FileMetadata]:
    """The files that a glob matches, on any of Beam's file systems."""
    # Beam makes a regular expression of a glob. Python warns of one that has a set begin with a
    # bracket, as that of `[[]` does; no path has the character that goes before it here.
    pattern = pattern.replace("[[", "[\r[")
    return [found for match in FileSystems.match([pattern]) for found in match.metadata_list]


def delete(paths: Sequence[str]) -> None:
    """Deletes files, in whose paths no character is special."""
    FileSystems.delete([literally(path).replace("[[", "[\r[") for path in paths])


def literally(path: str) -> str:
    """A glob that matches a path alone."""
    return re.sub(r"([*?\[])", r"[\1]", path)
