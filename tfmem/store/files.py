"""Files that appear under their names when they are complete and on disk.

Until then a file has the name `.NAME.OWNER.tmp`, which no other program writes to (see
`tfmem.store.owners`). What a program that was killed leaves of them is told by that name.
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

_LONGEST = 40  # letters of a name within a temporary one, which may have 255 bytes
# What earlier versions wrote in place of OWNER.
_EARLIER = r"[0-9]+(?:-of-[0-9]+)?|(?:beam|gather)-[0-9a-f]{32}|\.unfinished-job-[-0-9a-f]+"
_FORM = re.compile(rf"\..+\.({OWNER}|{_EARLIER})\.(?:tmp|new)", re.DOTALL)
_NO_FOLDERS = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)  # of other file systems


@contextmanager
def complete_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to; it gets its name when the block ends, and goes away if the block fails.

    Args:
      path: its name; a file that has it is replaced.

    Raises:
      OSError: naming `path`, if the file system refuses; a full disk, for one.
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
    """Writes a file, which appears under its name when it is complete.

    Args:
      path: its name; a file that has it is replaced.
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
    """A name for a file that is being written, which no other program has."""
    return f".{name[:_LONGEST]}.{new_owner()}.tmp"


def is_leftover(name: str, changed: float) -> bool:
    """Whether a file is one that a program which is gone did not finish.

    Args:
      name: of the file.
      changed: when it was last changed, in seconds since 1970.
    """
    parsed = _FORM.fullmatch(name)
    return bool(parsed and is_abandoned(parsed[1], changed))


def remove_leftovers(folder: Path, name: str = "") -> None:
    """Removes files that programs which are gone did not finish.

    Args:
      folder: where they are; it need not exist.
      name: what they were to be called; any name by default.
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
    """Waits until the names in a folder are on disk, where the file system can tell."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except PermissionError:  # it may be written to, and not listed; or it is Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _NO_FOLDERS:
            raise
    finally:
        os.close(handle)
