"""The command line, called in this process or started as a process of its own."""

import contextlib
import io
import logging
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import pytest

ROOT = Path(__file__).parents[2]
TFMEM = Path(sys.executable).with_name("tfmem")


@dataclass(frozen=True)
class Ended:
    """What a command wrote to both streams, and its exit code."""

    stdout: str
    stderr: str
    code: int


def tfmem_command(*arguments, code=0):
    """Calls `tfmem ARGUMENTS` in this process, without a start-up.

    Args:
      arguments: what follows `tfmem`.
      code: the exit code that it must end with; None if any will do.
    """
    from tfmem.messages.terminal import set_loudness
    from tfmem.pipelines.cli import main

    out, err, root = io.StringIO(), io.StringIO(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        with (
            mock.patch("sys.argv", ["tfmem", *map(str, arguments)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as end,
        ):
            main()
    finally:
        root.handlers[:], root.level = handlers, level
        set_loudness(False, False)
    return _checked(Ended(out.getvalue(), err.getvalue(), end.value.code or 0), code)


def tfmem_process(*arguments, code=0, preexec_fn=None):
    """Runs `tfmem ARGUMENTS` as a user does, which starts TensorFlow anew: 5 seconds.

    Args:
      arguments: what follows `tfmem`.
      code: the exit code that it must end with; None if any will do.
      preexec_fn: called in the new process before the program.
    """
    command = [TFMEM, *map(str, arguments)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, preexec_fn=preexec_fn, check=False
    )
    return _checked(Ended(done.stdout, done.stderr, done.returncode), code)


def _checked(ended, code):
    assert code is None or ended.code == code, ended.stdout + ended.stderr
    return ended
