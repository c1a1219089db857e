"""A folder in a bucket, which is read and written without TensorFlow and without Beam.

Buckets are reached through fsspec, because claims need two things that neither `tf.io.gfile` nor
Beam's file systems offer: to create an object only if it does not exist (`ifGenerationMatch=0` at
Google, `If-None-Match` at Amazon), and one error for objects that do not exist. fsspec's cache of
listings is switched off, because other programs write to the same folder.

An object appears only when all of it has been uploaded, so it needs no temporary name.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, TypeVar, cast

import fsspec

from tfmem.messages.errors import InputError, reason
from tfmem.store.folders import Folder
from tfmem.store.records import write_records

Result = TypeVar("Result")
# What must be installed for the URLs of a scheme: the package, and the extra that brings it.
_SCHEMES = {
    "gs": ("gcsfs", "gcp"),
    "s3": ("s3fs", "aws"),
    "memory": ("fsspec", ""),  # in the memory of this process, for tests
}


class BucketFolder(Folder):
    """A folder in a bucket, such as `gs://bucket/run` or `s3://bucket/run`."""

    def __init__(self, location: str) -> None:
        """Names a folder by its URL.

        Raises:
          InputError: if the URL is not that of a bucket, or the package that reads such buckets is
            not installed.
        """
        super().__init__(location)
        scheme = location.partition("://")[0]
        if scheme not in _SCHEMES:
            raise InputError(
                f"{location}: expected a path, gs://BUCKET/FOLDER or s3://BUCKET/FOLDER"
            )
        package, extra = _SCHEMES[scheme]
        try:
            self._bucket = fsspec.filesystem(scheme, use_listings_cache=False)
        except ImportError:
            raise InputError(
                f"{location}: {package} is not installed: pip install 'tfmem[{extra}]'"
            ) from None

    def path(self, name: str) -> str:
        """The URL of a file in this folder."""
        return f"{self.location.rstrip('/')}/{name}"

    def beside(self, relative: str) -> Folder:
        """The folder at a path relative to this one."""
        scheme, _, path = self.location.partition("://")
        joined = os.path.normpath(os.path.join("/", path, relative))
        return BucketFolder(f"{scheme}://{joined.lstrip('/')}")

    def towards(self, other: Folder) -> str:
        """The path of another folder of the same file system, relative to this one."""
        ends = (folder.location.partition("://")[2] for folder in (other, self))
        return os.path.relpath(*(f"/{end}" for end in ends))

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Does nothing, because a bucket has no locks."""
        yield

    def _told(self, what: str, function: Callable[..., Result], name: str, *more: Any) -> Result:
        try:
            return function(name, *more)
        except FileNotFoundError:
            raise FileNotFoundError(2, "No such object", self.path(name)) from None
        except Exception as error:  # each client library has errors of its own
            where = self.path(name) if name else str(self)
            raise InputError(f"{where}: {what}: {reason(error)}") from None

    def _make(self, name: str) -> None:
        """Does nothing: in a bucket a folder is only the beginning of the names of objects."""

    def _names(self, name: str) -> list[str]:
        listed = self._bucket.ls(self.location, detail=True)
        found = (each["name"].rpartition("/")[2] for each in listed if each["type"] == "file")
        return [name for name in found if name]  # an object may stand for the folder itself

    def _read(self, name: str) -> bytes:
        return bytes(self._bucket.cat_file(self.path(name)))

    def _open(self, name: str) -> BinaryIO:
        return cast(BinaryIO, self._bucket.open(self.path(name), "rb"))

    def _size(self, name: str) -> int:
        return int(self._file(name)["size"])

    def _modified(self, name: str) -> float:
        self._file(name)
        return float(self._bucket.modified(self.path(name)).timestamp())

    def _write(self, name: str, contents: Iterable[bytes] | bytes) -> None:
        if not isinstance(contents, bytes):
            framed = io.BytesIO()
            write_records(framed, contents)
            contents = framed.getvalue()
        self._bucket.pipe_file(self.path(name), contents)

    def _create(self, name: str, contents: bytes) -> None:
        try:
            self._bucket.pipe_file(self.path(name), contents, mode="create")
        except Exception:  # if two programs create at once, each kind of bucket has another error
            if not self.exists(name):
                raise

    def _rename(self, old: str, new: str) -> None:
        self._bucket.cp_file(self.path(old), self.path(new))
        self._bucket.rm_file(self.path(old))

    def _remove(self, name: str) -> None:
        self._bucket.rm_file(self.path(name))

    def _file(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._bucket.info(self.path(name))
        if found["type"] != "file":
            raise FileNotFoundError
        return found
