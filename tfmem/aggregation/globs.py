"""Lists and deletes files by globs, on any of Beam's file systems."""

from __future__ import annotations

import re
from collections.abc import Sequence

from apache_beam.io.filesystem import FileMetadata
from apache_beam.io.filesystems import FileSystems


def matching(pattern: str) -> list[FileMetadata]:
    """Lists the files that a glob matches, on any of Beam's file systems."""
    # Beam turns a glob into a regular expression. Python warns if a set in it begins with a
    # bracket, as in `[[]`. Therefore a character that no path has is put before that bracket.
    pattern = pattern.replace("[[", "[\r[")
    return [found for match in FileSystems.match([pattern]) for found in match.metadata_list]


def delete(paths: Sequence[str]) -> None:
    """Deletes files; no character in their paths is special."""
    FileSystems.delete([literally(path).replace("[[", "[\r[") for path in paths])


def literally(path: str) -> str:
    """Returns a glob that matches only the given path."""
    return re.sub(r"([*?\[])", r"[\1]", path)
