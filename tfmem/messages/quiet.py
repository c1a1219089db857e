"""Imports TensorFlow; in programs of tfmem, without the lines that TensorFlow always writes."""

from __future__ import annotations

import os
import sys
import tempfile

from tfmem.messages.terminal import is_verbose


class _Process:
    is_own = False


def own_process() -> None:
    """Declares that this process is a program of tfmem, which may hide lines of libraries."""
    _Process.is_own = True


def import_tensorflow() -> None:
    """Imports TensorFlow, which then logs only errors, unless the environment asks for more.

    If tfmem is used as a library, or with `--verbose`, the lines that the import writes are shown.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if _Process.is_own and not is_verbose():
        _import_unheard()
    else:
        import tensorflow  # noqa: F401


def _import_unheard() -> None:
    """Imports TensorFlow, and shows what was written to file descriptor 2 only if that fails.

    While it is loaded, TensorFlow's C++ code writes six lines about oneDNN and CUDA there, before
    its log has a level and whatever `TF_CPP_MIN_LOG_LEVEL` says. No setting prevents them
    (tensorflow/tensorflow issues 62770 and 79029). They would turn an error of one line into seven
    lines. Nothing else in tfmem redirects a descriptor.
    """
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as file:
        os.dup2(file.fileno(), 2)
        try:
            import tensorflow  # noqa: F401
        except Exception:
            file.seek(0)
            os.write(stderr, file.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
