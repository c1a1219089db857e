"""Identifies the programs that own files in a shared folder, and tells whether they are gone.

An owner is a text such as `1f3a5c7e9b0d-4711-88123-9e107d9d372bb6826bd81d3542a419d6`: a machine (or
container), the number of a process on it, when that process began, and a random number. No two
owners are equal, although process numbers are used again and occur in several containers.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import time
import uuid
from pathlib import Path

OWNER = "[0-9a-f]{12}-[0-9]{1,9}-[0-9]{1,19}-[0-9a-f]{32}"  # a regular expression
_DAY = 86_400  # seconds


def new_owner() -> str:
    """Returns a new owner for this process; no other owner is equal to it."""
    process = os.getpid()
    return f"{_machine()}-{process}-{_start(process)}-{uuid.uuid4().hex}"


def is_gone(owner: str) -> bool:
    """Whether an owner is a process of this machine that has ended.

    It is False for owners on other machines, and for texts that are no owners, because nothing is
    known about these.
    """
    if not is_owner(owner):
        return False
    machine, process, start, _ = owner.split("-")
    if machine != _machine():
        return False
    return not _is_alive(int(process)) or _start(int(process)) not in (0, int(start))


def is_abandoned(owner: str, changed: float) -> bool:
    """Whether nobody will finish a file or folder that an owner began.

    That is the case if the owner is gone, or if nothing was changed for a day.

    Args:
      owner: the owner of the file or folder.
      changed: when it was last changed, in seconds since 1970.
    """
    return is_gone(owner) or time.time() - changed > _DAY


def is_owner(text: str) -> bool:
    """Whether a text is an owner, on any machine."""
    return re.fullmatch(OWNER, text) is not None


def process_number(owner: str) -> str:
    """The number of an owner's process, for messages; empty if it is not known."""
    return owner.split("-")[1] if is_owner(owner) else ""


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # the process is another user's
        return True
    return True


def _start(process: int) -> int:
    """When a process began, in ticks since its machine was started; 0 if that is not known."""
    try:
        known = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        return int(known.rpartition(")")[2].split()[19])  # field 22; the second ends with `)`
    except (OSError, ValueError, IndexError):
        return 0


@functools.cache
def _machine() -> str:
    """Identifies this machine or container, within which process numbers are unique."""
    known = platform.node()
    with contextlib.suppress(OSError):  # only Linux has these
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        known += f" {boot}{os.stat('/proc/self/ns/pid').st_ino}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]
