"""How a command ends when it is stopped: by Ctrl-C, or by the SIGTERM of Slurm or Kubernetes."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from tfmem.messages.terminal import tell

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _Stopped(KeyboardInterrupt):
    """A signal asked the program to end."""

    def __init__(self, number: int) -> None:
        self.code = 128 + number


@contextmanager
def resumable() -> Iterator[None]:
    """Ends a stopped program as a shell expects, and says how to continue.

    The exit code is 130 after Ctrl-C, and 143 after SIGTERM.
    """
    before = {number: signal.signal(number, _stop) for number in _SIGNALS}
    try:
        yield
    except KeyboardInterrupt as stopped:
        tell("stopped; the same command continues")
        raise typer.Exit(getattr(stopped, "code", 130)) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(code: object) -> None:
    """Ends a program that was stopped at once, if threads of TensorFlow are still at work.

    Such threads would make the interpreter abort while it shuts down, which changes the exit code.

    Args:
      code: the exit code; nothing is done if it is not that of a stopped program.
    """
    if code in [128 + number for number in _SIGNALS] and threading.active_count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(int(str(code)))


def _stop(number: int, frame: object) -> None:
    with contextlib.suppress(OSError):
        os.write(2, b"stopping: work in progress is saved first; repeat to stop at once\n")
    raise _Stopped(number)
