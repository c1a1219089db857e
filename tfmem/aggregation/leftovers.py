"""Folders of unfinished files: what they are called, and which of them a killed job left behind."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
import uuid
from pathlib import Path

PREFIX = ".unfinished-job-"
_DAY = 86_400  # seconds


def new_name() -> str:
    """A name for the unfinished files of a job of this process."""
    return f"{PREFIX}{_machine()}-{os.getpid()}-{uuid.uuid4().hex}"


def is_stale(name: str, changed: float) -> bool:
    """Whether nobody will finish the files in a folder.

    That is so if they are of a process of this machine that is gone, or if nothing was added for a
    day: of other machines it is not known what they do.

    Args:
      name: of the folder, as `new_name` makes them.
      changed: when something was last added to it, in seconds since 1970.
    """
    if time.time() - changed > _DAY:
        return True
    machine, _, rest = name.removeprefix(PREFIX).partition("-")
    number = rest.partition("-")[0]
    return machine == _machine() and number.isdecimal() and not _is_alive(int(number))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is another user's
        return True
    return True


def _machine() -> str:
    """What tells machines, and containers on one machine, apart: process numbers are theirs."""
    known = platform.node()
    with contextlib.suppress(OSError):  # only Linux has these
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        known = f"{boot}{os.stat('/proc/self/ns/pid').st_ino}"
    return hashlib.sha256(known.encode()).hexdigest()[:12]
