"""A folder that workers share: local, on NFS, or in a bucket (through `tf.io.gfile`)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from tfmem.errors import InputError
from tfmem.predictions import write_atomically
from tfmem.records import write_records


def open_folder(location: str | os.PathLike[str]) -> Folder:
    """The folder at a path or URL; it need not exist."""
    text = os.fspath(location)
    return RemoteFolder(text) if "://" in text else Folder(text)


class Folder:
    """A folder of a local or network file system.

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
        """Makes it and the folders above it.

        Raises:
          InputError: if that is not possible.
        """
        try:
            self._make()
        except OSError as error:
            raise InputError(f"{self}: the folder cannot be made: {error.strerror}") from None

    def write(self, name: str, contents: Iterable[bytes] | bytes, writer: str = "") -> None:
        """Writes a file (TFRecords, or bytes as they are), which appears when it is complete.

        Args:
          name: its name.
          contents: what to write.
          writer: part of the temporary name; no two that write at the same time share one.

        Raises:
          InputError: if it cannot be written; nothing is then left under the name.
        """
        try:
            self._write(name, contents, writer)
        except OSError as error:
            raise InputError(f"{self.path(name)}: cannot be written: {error.strerror}") from None

    def remove_temporary(self) -> None:
        """Removes what writers that were killed left unfinished."""
        for name in self.names():
            if name.startswith(".") and name.endswith((".tmp", ".new")):
                self.remove(name)

    def _make(self) -> None:
        os.makedirs(self.location, exist_ok=True)

    def names(self) -> list[str]:
        """Names of what is in it, ascending; none if there is no such folder."""
        try:
            return sorted(os.listdir(self.location))
        except FileNotFoundError:
            return []

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        return os.path.exists(self.path(name))

    def read(self, name: str) -> bytes:
        """The contents of a file."""
        return Path(self.path(name)).read_bytes()

    def _write(self, name: str, contents: Iterable[bytes] | bytes, writer: str) -> None:
        write_atomically(Path(self.path(name)), contents, writer)

    def create(self, name: str, contents: bytes, writer: str) -> bytes:
        """Writes a file unless it is there; the contents that it has then."""
        temporary = f".{name}.{writer}.new"
        self.write(temporary, contents, writer)
        try:
            os.link(self.path(temporary), self.path(name))
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            if not self.exists(name):
                os.replace(self.path(temporary), self.path(name))
        finally:
            self.remove(temporary)
        return self.read(name)

    def rename(self, old: str, new: str) -> None:
        """Renames a file; if another worker did so before, nothing."""
        try:
            os.replace(self.path(old), self.path(new))
        except FileNotFoundError:
            if not self.exists(new):
                raise

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        Path(self.path(name)).unlink(missing_ok=True)

    def size(self, name: str) -> int:
        """The length of a file in bytes."""
        return os.stat(self.path(name)).st_size

    def modified(self, name: str) -> float | None:
        """When a file was last written, in seconds by the clock of its file system."""
        try:
            return os.stat(self.path(name)).st_mtime
        except FileNotFoundError:
            return None


class RemoteFolder(Folder):
    """A folder of a file system that TensorFlow knows, such as `gs://bucket/run`."""

    @cached_property
    def _files(self) -> Any:
        from tfmem.quiet import import_tensorflow

        import_tensorflow()
        import tensorflow as tf

        return tf.io.gfile

    def path(self, name: str) -> str:
        """The path of a file in it."""
        return f"{self.location.rstrip('/')}/{name}"

    def make(self) -> None:
        """Makes it; buckets have no folders, so that may be nothing."""
        self._reported(self._files.makedirs, self.location)

    def write(self, name: str, contents: Iterable[bytes] | bytes, writer: str = "") -> None:
        """See `Folder.write`."""
        self._reported(self._write, name, contents, writer)

    def _write(self, name: str, contents: Iterable[bytes] | bytes, writer: str) -> None:
        temporary = f".{name}.{writer or os.getpid()}.tmp"
        with self._files.GFile(self.path(temporary), "wb") as file:
            if isinstance(contents, bytes):
                file.write(contents)
            else:
                write_records(file, contents)
        self._files.rename(self.path(temporary), self.path(name), overwrite=True)

    def names(self) -> list[str]:
        """See `Folder.names`."""
        if not self._files.isdir(self.location):
            return []
        listed = self._reported(self._files.listdir, self.location)
        return sorted(name.rstrip("/") for name in listed)

    def exists(self, name: str) -> bool:
        """See `Folder.exists`."""
        return self._files.exists(self.path(name))

    def read(self, name: str) -> bytes:
        """See `Folder.read`."""
        with self._files.GFile(self.path(name), "rb") as file:
            return self._reported(file.read)

    def create(self, name: str, contents: bytes, writer: str) -> bytes:
        """See `Folder.create`; a bucket has no exclusive writing, so the last of several wins."""
        if not self.exists(name):
            self.write(name, contents, writer)
            time.sleep(1)
        return self.read(name)

    def rename(self, old: str, new: str) -> None:
        """See `Folder.rename`."""
        if old != new and (self.exists(old) or not self.exists(new)):
            self._reported(self._files.rename, self.path(old), self.path(new), overwrite=True)

    def remove(self, name: str) -> None:
        """See `Folder.remove`."""
        if self.exists(name):
            self._reported(self._files.remove, self.path(name))

    def size(self, name: str) -> int:
        """See `Folder.size`."""
        return self._reported(self._files.stat, self.path(name)).length

    def modified(self, name: str) -> float | None:
        """See `Folder.modified`."""
        if not self.exists(name):
            return None
        return self._files.stat(self.path(name)).mtime_nsec / 1e9

    def _reported(self, function: Any, *arguments: Any, **options: Any) -> Any:
        """Calls a function of `tf.io.gfile`; what it raises becomes one line."""
        from tensorflow.errors import OpError

        try:
            return function(*arguments, **options)
        except OpError as error:
            reason = error.message.splitlines()[0]
            raise InputError(f"{self.location}: {reason}") from None
