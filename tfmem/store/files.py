"""Writes files that appear under their names only when they are complete and on disk.

Until then a file has the name `.NAME.OWNER.tmp`, to which no other program writes (see
`tfmem.store.owners`). By such names one recognizes files that a killed program has left.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tfmem.store.owners import OWNER, is_abandoned, new_owner
from tfmem.store.records import write_records

_LONGEST = 40  # letters of the name in a temporary name, which may have 255 bytes
# What earlier versions wrote in place of OWNER.
_EARLIER = r"[0-9]+(?:-of-[0-9]+)?|(?:beam|gather)-[0-9a-f]{32}|\.unfinished-job-[-0-9a-f]+"
_FORM = re.compile(rf"\..+\.({OWNER}|{_EARLIER})\.(?:tmp|new)", re.DOTALL)
# Errors of file systems that cannot sync a folder.
_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)


@contextmanager
def complete_file(path: Path) -> Iterator[BinaryIO]:
    """Opens a file that gets its name when the block ends, and is removed if the block fails.

    Args:
      path: the file's name; an existing file of this name is replaced.

    Raises:
      OSError: naming `path`, if the file system refuses, for example because the disk is full.
    """
    temporary = path.with_name(temporary_name(path.name))
    try:
        try:
            with open(temporary, "xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
            sync_folder(path.parent)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def write_atomically(path: Path, contents: Iterable[bytes] | bytes) -> None:
    """Writes a file, which appears under its name only when it is complete.

    Args:
      path: the file's name; an existing file of this name is replaced.
      contents: bytes as they are, or the payloads of TFRecords.

    Raises:
      OSError: naming `path`, if the file system refuses.
    """
    with complete_file(path) as file:
        if isinstance(contents, bytes):
            file.write(contents)
        else:
            write_records(file, contents)


def temporary_name(name: str) -> str:
    """Returns a name for a file that is being written; no other program uses this name."""
    return f".{name[:_LONGEST]}.{new_owner()}.tmp"


def is_leftover(name: str, changed: float) -> bool:
    """Whether a file was left unfinished by a program that is gone.

    Args:
      name: the file's name.
      changed: when the file was last changed, in seconds since 1970.
    """
    parsed = _FORM.fullmatch(name)
    return bool(parsed and is_abandoned(parsed[1], changed))


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Removes unfinished files of programs that are gone.

    Args:
      folder: where the files are; it need not exist.
      name: the final name that the files were to get; by default any.
    """
    start = f".{name[:_LONGEST]}." if name else "."
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(start):
                continue
            with contextlib.suppress(FileNotFoundError):  # another program was faster
                if is_leftover(entry.name, entry.stat(follow_symlinks=False).st_mtime):
                    os.unlink(entry.path)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on disk, if the file system supports that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # the folder may be writable but not readable; or it is on Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(handle)
