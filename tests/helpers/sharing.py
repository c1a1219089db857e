"""Folders that are made once in a session, however many processes run its tests."""

import contextlib
import fcntl
import os
import shutil

DIGITS_RUN = ("--set", "training.trials=40", "--set", "training.epochs=8")


def made_once(tmp_path_factory, name, make):
    """The folder `name` of a session, which `make(folder)` writes in whichever process is first.

    Tests only read it, and change a copy. A folder that could not be made is tried again.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each process has a folder of its own in that of the session
    folder, complete = base / name, base / f"{name}-is-complete"
    with open(base / f"{name}-lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(folder)
            folder.mkdir()
            make(folder)
            complete.touch()
    return folder
