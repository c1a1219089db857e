"""A folder that workers share: local, on NFS, or in a bucket (through `tf.io.gfile`)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from tfmem.messages.errors import InputError
from tfmem.store.files import is_leftover, temporary_name, write_atomically
from tfmem.store.records import write_records

Result = TypeVar("Result")
_LOCK = ".lock"
_SETTLED_SECONDS = 1.0  # after which a bucket shows the last of several writes


def open_folder(location: str | os.PathLike[str]) -> Folder:
    """The folder at a path or URL; it need not exist."""
    text = os.fspath(location)
    return RemoteFolder(text) if "://" in text else Folder(text)


class Folder:
    """A folder of a local or network file system.

    Other workers may write, rename and remove files at any time. A file that is not there is a
    `FileNotFoundError`; whatever else a file system refuses is an `InputError` that names the file.

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

    def make(self) -> None:
        """Makes it and the folders above it."""
        try:
            self._told("the folder cannot be made", self._make, "")
        except FileNotFoundError as error:
            raise InputError(f"{self}: the folder cannot be made: {error.strerror}") from None

    def names(self) -> list[str]:
        """Names of what is in it, ascending; none if there is no such folder."""
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

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        return self._told("cannot be read", self._stat, name)[0]

    def modified(self, name: str) -> float | None:
        """When a file was last written, by the clock of its file system; None if it is not there.

        In seconds.
        """
        try:
            return self._told("cannot be read", self._stat, name)[1]
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
            raise InputError(f"{self.path(name)}: cannot be written: {error.strerror}") from None

    def create(self, name: str, contents: bytes) -> bytes:
        """Writes a file unless it is there; the contents that it has then.

        A bucket has no exclusive writing: there the last of several that write at once wins.
        """
        self._told("cannot be written", self._create, name, contents)
        return self.read(name)

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps all other programs that ask for the same out, until it is left.

        A program that dies lets the others in. File systems that lock nothing keep nobody out.
        """
        self.make()
        try:
            lock = open(self.path(_LOCK), "ab")  # noqa: SIM115, closed below
        except OSError as error:
            raise InputError(f"{self.path(_LOCK)}: cannot be made: {error.strerror}") from None
        with lock:
            with contextlib.suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def rename(self, old: str, new: str) -> None:
        """Renames a file; nothing if another worker did so before."""
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
        except OSError as error:
            where = self.path(name) if name else str(self)
            raise InputError(f"{where}: {what}: {error.strerror}") from None

    def _make(self, name: str) -> None:
        os.makedirs(self.location, exist_ok=True)

    def _names(self, name: str) -> list[str]:
        return os.listdir(self.location)

    def _read(self, name: str) -> bytes:
        return Path(self.path(name)).read_bytes()

    def _stat(self, name: str) -> tuple[int, float]:
        found = os.stat(self.path(name))
        return found.st_size, found.st_mtime

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


class RemoteFolder(Folder):
    """A folder of a file system that TensorFlow knows, such as `gs://bucket/run`."""

    @cached_property
    def _files(self) -> Any:
        from tfmem.messages.quiet import import_tensorflow

        import_tensorflow()
        import tensorflow as tf

        return tf.io.gfile

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps nobody out: a bucket has no locks."""
        yield

    def path(self, name: str) -> str:
        """The path of a file in it."""
        return f"{self.location.rstrip('/')}/{name}"

    def _told(self, what: str, function: Callable[..., Result], name: str, *more: Any) -> Result:
        _ = self._files  # imports TensorFlow
        from tensorflow.errors import NotFoundError, OpError

        try:
            return function(name, *more)
        except NotFoundError:
            raise FileNotFoundError(2, "No such file or directory", self.path(name)) from None
        except OpError as error:
            reason = (error.message or type(error).__name__).splitlines()[0]
            raise InputError(f"{self.path(name)}: {what}: {reason}") from None

    def _make(self, name: str) -> None:
        self._files.makedirs(self.location)

    def _names(self, name: str) -> list[str]:
        return [listed.rstrip("/") for listed in self._files.listdir(self.location)]

    def _read(self, name: str) -> bytes:
        with self._files.GFile(self.path(name), "rb") as file:
            return file.read()

    def _stat(self, name: str) -> tuple[int, float]:
        found = self._files.stat(self.path(name))
        return found.length, found.mtime_nsec / 1e9

    def _write(self, name: str, contents: Iterable[bytes] | bytes) -> None:
        temporary = self.path(temporary_name(name))
        with self._files.GFile(temporary, "wb") as file:
            if isinstance(contents, bytes):
                file.write(contents)
            else:
                write_records(file, contents)
        self._files.rename(temporary, self.path(name), overwrite=True)

    def _create(self, name: str, contents: bytes) -> None:
        if not self.exists(name):
            self._write(name, contents)
            time.sleep(_SETTLED_SECONDS)

    def _rename(self, old: str, new: str) -> None:
        self._files.rename(self.path(old), self.path(new), overwrite=True)

    def _remove(self, name: str) -> None:
        self._files.remove(self.path(name))
