"""Makes folders once in a session, however many processes run its tests."""

import contextlib
import fcntl
import os
import shutil

DIGITS_RUN = (
    "--set=training.trials=40",
    "--set=training.epochs=8",
    "--set=training.stack_size=8",  # none is measured
)


def made_once(tmp_path_factory, name, make):
    """Returns the session's folder `name`, which the first process makes by `make(folder)`.

    Tests only read the folder, and change a copy. If it could not be made, the next process tries
    again.
    """
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # the parent is the session's folder
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
