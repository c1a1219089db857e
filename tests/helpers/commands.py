"""The command line in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TFMEM = Path(sys.executable).with_name("tfmem")


def tfmem_command(*arguments, code=0):
    """The finished process of `tfmem ARGUMENTS`, which must end with `code`."""
    done = subprocess.run(
        [TFMEM, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done
