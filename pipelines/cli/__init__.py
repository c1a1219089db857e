"""The command line: every command is one call into a pipeline or the library."""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import sys
import traceback

import typer

import tfmem
from tfmem.messages.errors import DryRun, InputError
from tfmem.messages.quiet import own_process
from tfmem.messages.terminal import is_quiet, is_verbose, printable, tell
from tfmem.pipelines.cli import (
    attributing,
    attributing_tests,
    attribution,
    comparing,
    configs,
    estimating,
    exchanging,
    preparing,
    privacy,
    running,
    self_influence,
    showing,
)
from tfmem.pipelines.cli.commands import app, be_loud
from tfmem.pipelines.cli.stopping import leave
from tfmem.pipelines.runner import ComponentError

__all__ = [
    "app",
    "attributing",
    "attributing_tests",
    "attribution",
    "comparing",
    "configs",
    "estimating",
    "exchanging",
    "main",
    "preparing",
    "privacy",
    "running",
    "self_influence",
    "showing",
]


def main(commands: typer.Typer = app) -> None:
    """Runs the command line; a mistake of the user ends it with one line and exit code 1.

    With `--verbose`, or with `TFMEM_TRACEBACK=1` in the environment, the traceback is printed
    before that line. An error that the user did not cause is reported as a bug, always with its
    traceback.

    Args:
      commands: the application whose commands are understood.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace", line_buffering=True)
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    for handler in logging.getLogger().handlers:
        handler.addFilter(_log_as_text)
    own_process()
    be_loud(is_quiet(), is_verbose())
    gc.set_threshold(10_000)  # imports and traces make objects that live on: a fifth of the start
    atexit.register(gc.freeze)  # the interpreter's last garbage collection would take 0.4 s
    try:
        commands()
    except SystemExit as end:
        leave(end.code)
        raise
    except DryRun as described:
        print(printable(described))
    except Exception as error:
        sys.exit(_told(error))


def _told(error: Exception) -> int:
    """Prints the error that ended a command, and returns the exit code."""
    cause = error.__cause__ if isinstance(error, ComponentError) else error
    if not isinstance(cause, InputError | OSError | MemoryError):
        tell(
            f"error: this is a bug in tfmem {tfmem.__version__}, please report it with what "
            f"follows: {type(cause).__name__}: {cause}"
        )
        tell("".join(traceback.format_exception(error)).rstrip())
        return 1
    if is_verbose() or os.environ.get("TFMEM_TRACEBACK"):
        tell("".join(traceback.format_exception(error)).rstrip())
    tell(f"error: {_said(error)}")
    return 1


def _said(error: Exception) -> str:
    """The text of an error, as it is printed."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"there is not enough memory{f': {error}' if str(error) else ''}"
    return str(error)


def _log_as_text(record: logging.LogRecord) -> bool:
    """Escapes control characters in a log record, since its text may come from a user's data."""
    record.msg, record.args = printable(record.getMessage()), ()
    return True
