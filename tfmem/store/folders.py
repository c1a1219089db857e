"""A folder that programs share: on this machine, on NFS, or in a bucket.

A reader always finds a complete file: as it was before a write, or as it is afterwards. If several
programs create the same file, one succeeds, and all of them learn which.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from tfmem.messages.errors import InputError, reason
from tfmem.store.files import is_leftover, temporary_name, write_atomically

Result = TypeVar("Result")
_LOCK = ".lock"


def open_folder(location: str | os.PathLike[str]) -> Folder:
    """Returns the folder at a path or URL; it need not exist.

    Raises:
      InputError: if a URL is not that of a bucket, or the package that reads such buckets is not
        installed.
    """
    text = os.fspath(location)
    if "://" not in text:
        return Folder(text)
    from tfmem.store.buckets import BucketFolder

    return BucketFolder(text)


class Folder:
    """A folder of a local or network file system.

    Other programs may write, rename and remove files at any time. If a file does not exist, methods
    raise `FileNotFoundError`; for any other error of the file system they raise an `InputError`
    that names the file. The name of a file may begin with a folder below this one, as in
    `work/a.csv`.

    Attributes:
      location: path or URL of the folder.
    """

    def __init__(self, location: str) -> None:
        """Names a folder, which need not exist."""
        self.location = location

    def __str__(self) -> str:
        return self.location

    def child(self, name: str) -> Folder:
        """A folder below this one."""
        return type(self)(self.path(name))

    def path(self, name: str) -> str:
        """The path of a file in this folder."""
        return os.path.join(self.location, name)

    def beside(self, relative: str) -> Folder:
        """The folder at a path relative to this one."""
        return type(self)(os.path.normpath(os.path.join(self.location, relative)))

    def towards(self, other: Folder) -> str:
        """The path of another folder of the same file system, relative to this one."""
        return os.path.relpath(other.location, self.location)

    def make(self) -> None:
        """Makes this folder and the folders above it."""
        try:
            self._told("the folder cannot be made", self._make, "")
        except FileNotFoundError as error:
            raise InputError(f"{self}: the folder cannot be made: {_said(error)}") from None

    def names(self) -> list[str]:
        """Names of the files in this folder, ascending; none if the folder does not exist."""
        try:
            return sorted(self._told("cannot be listed", self._names, ""))
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        """Whether a file exists."""
        return self.modified(name) is not None

    def read(self, name: str) -> bytes:
        """Reads the contents of a file."""
        return self._told("cannot be read", self._read, name)

    def open(self, name: str) -> BinaryIO:
        """Opens a file for reading."""
        return self._told("cannot be read", self._open, name)

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        return self._told("cannot be read", self._size, name)

    def modified(self, name: str) -> float | None:
        """When a file was last written, in seconds since 1970 by the clock of its file system.

        None if the file does not exist.
        """
        try:
            return self._told("cannot be read", self._modified, name)
        except FileNotFoundError:
            return None

    def write(self, name: str, contents: Iterable[bytes] | bytes) -> None:
        """Writes a file, which appears only when it is complete.

        Args:
          name: the file's name.
          contents: bytes as they are, or the payloads of TFRecords.
        """
        try:
            self._told("cannot be written", self._write, name, contents)
        except FileNotFoundError as error:
            raise InputError(f"{self.path(name)}: cannot be written: {_said(error)}") from None

    def create(self, name: str, contents: bytes) -> bytes:
        """Writes a file unless it exists; returns the contents that it has afterwards."""
        self._told("cannot be written", self._create, name, contents)
        return self.read(name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Lets only one program at a time run its block.

        If that program dies, the next one runs. On a file system without locks, several programs
        may run their blocks at the same time.
        """
        self.make()
        try:
            lock = open(self.path(_LOCK), "ab")  # noqa: SIM115, closed below
        except OSError as error:
            raise InputError(f"{self.path(_LOCK)}: cannot be made: {_said(error)}") from None
        with lock:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def rename(self, old: str, new: str) -> None:
        """Renames a file, which replaces any file of the new name; nothing if that was done before.

        In a bucket the file is copied and then removed, so that for a moment it has both names.
        """
        if old == new:
            return
        try:
            self._told("cannot be renamed", self._rename, old, new)
        except FileNotFoundError:
            if not self.exists(new):
                raise

    def remove(self, name: str) -> None:
        """Removes a file if it exists."""
        with contextlib.suppress(FileNotFoundError):
            self._told("cannot be removed", self._remove, name)

    def remove_temporary(self) -> None:
        """Removes unfinished files of programs that are gone."""
        for name in self.names():
            if name.startswith(".") and is_leftover(name, self.modified(name) or time.time()):
                self.remove(name)

    def _told(self, what: str, function: Callable[..., Result], name: str, *more: Any) -> Result:
        try:
            return function(name, *more)
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:  # there is a file where a folder was expected
            raise FileNotFoundError(error.errno, error.strerror, error.filename) from None
        except OSError as error:
            where = self.path(name) if name else str(self)
            raise InputError(f"{where}: {what}: {_said(error)}") from None

    def _make(self, name: str) -> None:
        os.makedirs(self.location, exist_ok=True)

    def _names(self, name: str) -> list[str]:
        with os.scandir(self.location) as entries:
            return [entry.name for entry in entries if entry.is_file()]

    def _read(self, name: str) -> bytes:
        return Path(self.path(name)).read_bytes()

    def _open(self, name: str) -> BinaryIO:
        return open(self.path(name), "rb")

    def _size(self, name: str) -> int:
        return os.stat(self.path(name)).st_size

    def _modified(self, name: str) -> float:
        return os.stat(self.path(name)).st_mtime

    def _write(self, name: str, contents: Iterable[bytes] | bytes) -> None:
        write_atomically(Path(self.path(name)), contents)

    def _create(self, name: str, contents: bytes) -> None:
        temporary = temporary_name(name)
        self._write(temporary, contents)
        try:
            os.link(self.path(temporary), self.path(name))
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not self.exists(name):
                os.replace(self.path(temporary), self.path(name))
        finally:
            self.remove(temporary)

    def _rename(self, old: str, new: str) -> None:
        os.replace(self.path(old), self.path(new))

    def _remove(self, name: str) -> None:
        os.remove(self.path(name))


def _said(error: OSError) -> str:
    """The reason that a file system gives for an error, without the name of the file."""
    return error.strerror or reason(error)
