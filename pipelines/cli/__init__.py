"""The command line: every command is one call into a pipeline or the library."""

from __future__ import annotations

import atexit
import gc
import io
import logging
import os
import sys

import typer

from pipelines.cli import (
    attribution,
    comparing,
    estimating,
    exchanging,
    preparing,
    running,
    self_influence,
    showing,
)
from pipelines.cli.options import app
from tfmem.errors import DryRun, InputError

__all__ = [
    "app",
    "attribution",
    "comparing",
    "estimating",
    "exchanging",
    "main",
    "preparing",
    "running",
    "self_influence",
    "showing",
]


def main(commands: typer.Typer = app) -> None:
    """Runs a command line; a mistake is one line and exit code 1.

    With `TFMEM_TRACEBACK=1` in the environment the line comes with its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    for name in ("absl", "apache_beam", "tensorflow", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    atexit.register(gc.freeze)  # at the end no search for cycles among a million objects: 0.4 s
    try:
        commands()
    except DryRun as described:
        print(described)
    except InputError as error:
        if os.environ.get("TFMEM_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
