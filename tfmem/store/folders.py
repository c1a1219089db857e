"""A folder that programs share: on this machine, on NFS, or in a bucket.

Whoever reads a file finds it complete: as it was before a write, or as it is after that. Of several
programs that create the same file one succeeds, and all of them learn which.
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
    """The folder at a path or URL; it need not exist.

    Raises:
      InputError: if it is a URL of something else than a bucket, or what reads such buckets is not
        installed.
    """
    text = os.fspath(location)
    if "://" not in text:
        return Folder(text)
    from tfmem.store.buckets import BucketFolder

    return BucketFolder(text)


class Folder:
    """A folder of a local or network file system.

    Other programs may write, rename and remove files at any time. A file that is not there is a
    `FileNotFoundError`; whatever else a file system refuses is an `InputError` that names the file.
    The name of a file may have the name of a folder below this one before it, as in `work/a.csv`.

    Attributes:
      location: its path.
    """

    def __init__(self, location: str) -> None:
        """Names a folder."""
        self.location = location

    def __str__(self) -> str:
        return self.location

    def child(self, name: str) -> Folder:
        """A folder below this one."""
        return type(self)(self.path(name))

    def path(self, name: str) -> str:
        """The path of a file in it."""
        return os.path.join(self.location, name)

    def beside(self, relative: str) -> Folder:
        """The folder at a path relative to this one."""
        return type(self)(os.path.normpath(os.path.join(self.location, relative)))

    def towards(self, other: Folder) -> str:
        """The path of another folder of the same file system, relative to this one."""
        return os.path.relpath(other.location, self.location)

    def make(self) -> None:
        """Makes it and the folders above it."""
        try:
            self._told("the folder cannot be made", self._make, "")
        except FileNotFoundError as error:
            raise InputError(f"{self}: the folder cannot be made: {_said(error)}") from None

    def names(self) -> list[str]:
        """Names of the files in it, ascending; none if there is no such folder."""
        try:
            return sorted(self._told("cannot be listed", self._names, ""))
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        return self.modified(name) is not None

    def read(self, name: str) -> bytes:
        """The contents of a file."""
        return self._told("cannot be read", self._read, name)

    def open(self, name: str) -> BinaryIO:
        """A file opened for reading."""
        return self._told("cannot be read", self._open, name)

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        return self._told("cannot be read", self._size, name)

    def modified(self, name: str) -> float | None:
        """When a file was last written, by the clock of its file system; None if it is not there.

        In seconds.
        """
        try:
            return self._told("cannot be read", self._modified, name)
        except FileNotFoundError:
            return None

    def write(self, name: str, contents: Iterable[bytes] | bytes) -> None:
        """Writes a file (TFRecords, or bytes as they are), which appears when it is complete.

        Args:
          name: its name.
          contents: what to write.
        """
        try:
            self._told("cannot be written", self._write, name, contents)
        except FileNotFoundError as error:
            raise InputError(f"{self.path(name)}: cannot be written: {_said(error)}") from None

    def create(self, name: str, contents: bytes) -> bytes:
        """Writes a file unless it is there; the contents that it has then."""
        self._told("cannot be written", self._create, name, contents)
        return self.read(name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps all other programs that ask for the same out, until it is left.

        A program that dies lets the others in. On a file system without locks,
        programs are not kept out.
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
        """Renames a file, in place of one that has the name; nothing if that was done before.

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
        """Removes a file, if it is there."""
        with contextlib.suppress(FileNotFoundError):
            self._told("cannot be removed", self._remove, name)

    def remove_temporary(self) -> None:
        """Removes what programs that are gone left unfinished."""
        for name in self.names():
            if name.startswith(".") and is_leftover(name, self.modified(name) or time.time()):
                self.remove(name)

    def _told(self, what: str, function: Callable[..., Result], name: str, *more: Any) -> Result:
        try:
            return function(name, *more)
        except FileNotFoundError:
            raise
        except NotADirectoryError as error:  # a file is where a folder is looked for
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
