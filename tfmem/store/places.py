"""A folder that files are published in: on this machine, or wherever Beam's file systems reach."""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from pathlib import Path
from typing import BinaryIO, cast

from tfmem.store.files import write_atomically


def open_place(folder: str | os.PathLike[str]) -> Place:
    """The folder at a path or URL; it need not exist."""
    text = os.fspath(folder)
    return RemotePlace(text) if "://" in text else Place(text)


class Place:
    """A local folder; names may have the name of a folder below it before them.

    What the file system refuses is an `OSError`; a file that is not there is a `FileNotFoundError`.

    Attributes:
      folder: its path.
    """

    def __init__(self, folder: str) -> None:
        """Names a folder."""
        self.folder = folder

    def path(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.folder, name)

    def beside(self, relative: str) -> Place:
        """The folder at a path relative to this one."""
        return type(self)(os.path.normpath(os.path.join(self.folder, relative)))

    def towards(self, other: Place) -> str:
        """The path of another folder, relative to this one."""
        return os.path.relpath(other.folder, self.folder)

    def names(self) -> list[str]:
        """Names of the files in it, ascending; none if there is no such folder."""
        try:
            return sorted(entry.name for entry in os.scandir(self.folder) if entry.is_file())
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        return os.path.isfile(self.path(name))

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        return os.path.getsize(self.path(name))

    def open(self, name: str) -> BinaryIO:
        """A file opened for reading."""
        return open(self.path(name), "rb")

    def write(self, name: str, contents: bytes) -> None:
        """Writes a file, which appears, or replaces the one that is there, when it is complete."""
        write_atomically(Path(self.path(name)), contents)

    def move(self, old: str, new: str) -> None:
        """Moves a file to another name in place of what has it; nothing if it is not there."""
        with contextlib.suppress(FileNotFoundError):
            os.replace(self.path(old), self.path(new))

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path(name))


class RemotePlace(Place):
    """A folder of a file system that Beam knows, such as a bucket.

    Beam is imported when a file is asked for.
    """

    def path(self, name: str) -> str:
        """The URL of a file in it."""
        return f"{self.folder.rstrip('/')}/{name}"

    def beside(self, relative: str) -> Place:
        """The folder at a path relative to this one."""
        scheme, _, path = self.folder.partition("://")
        joined = os.path.normpath(os.path.join("/", path, relative))
        return RemotePlace(f"{scheme}://{joined.lstrip('/')}")

    def towards(self, other: Place) -> str:
        """The path of another folder of the same file system, relative to this one."""
        ends = (place.folder.partition("://")[2] for place in (other, self))
        return os.path.relpath(*(f"/{end}" for end in ends))

    def names(self) -> list[str]:
        """Names of the files in it, ascending."""
        from apache_beam.io.filesystems import FileSystems

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
            matches = FileSystems.match([self.path("*").replace("[", "[[]")])
        paths = [found.path for match in matches for found in match.metadata_list]
        start = len(self.path(""))
        return sorted(path[start:] for path in paths if "/" not in path[start:])

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        from apache_beam.io.filesystems import FileSystems

        return bool(FileSystems.exists(self.path(name)))

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        from apache_beam.io.filesystems import FileSystems

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Possible nested set", FutureWarning)
            (match,) = FileSystems.match([_quoted(self.path(name))])
        if not match.metadata_list:
            raise FileNotFoundError(self.path(name))
        return int(match.metadata_list[0].size_in_bytes)

    def open(self, name: str) -> BinaryIO:
        """A file opened for reading."""
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        if not self.exists(name):
            raise FileNotFoundError(self.path(name))
        plain = CompressionTypes.UNCOMPRESSED
        return cast(BinaryIO, FileSystems.open(self.path(name), compression_type=plain))

    def write(self, name: str, contents: bytes) -> None:
        """Writes an object, which appears when it is complete."""
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        plain = CompressionTypes.UNCOMPRESSED
        with FileSystems.create(self.path(name), compression_type=plain) as file:
            file.write(contents)

    def move(self, old: str, new: str) -> None:
        """Copies an object to another name, then removes it; nothing if it is not there."""
        from apache_beam.io.filesystems import FileSystems

        if self.exists(old):
            FileSystems.rename([self.path(old)], [self.path(new)])

    def remove(self, name: str) -> None:
        """Removes an object, if it is there."""
        from apache_beam.io.filesystems import FileSystems

        if self.exists(name):
            FileSystems.delete([_quoted(self.path(name))])


def _quoted(path: str) -> str:
    """A glob that matches the path alone: Beam lists and deletes by glob."""
    return re.sub(r"([*?\[])", r"[\1]", path)
