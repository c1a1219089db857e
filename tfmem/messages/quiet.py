"""Imports TensorFlow, in programs of tfmem without the lines that it always writes."""

from __future__ import annotations

import os
import sys
import tempfile

from tfmem.messages.terminal import is_verbose


class _Process:
    is_own = False


def own_process() -> None:
    """Says that this process is a program of tfmem, whose standard error tfmem decides about."""
    _Process.is_own = True


def import_tensorflow() -> None:
    """Imports TensorFlow, which from then on logs errors only, unless the environment says more.

    Where tfmem is a library the import writes what it writes; so it does with `--verbose`.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if _Process.is_own and not is_verbose():
        _import_unheard()
    else:
        import tensorflow  # noqa: F401


def _import_unheard() -> None:
    """Imports TensorFlow; what is written to file descriptor 2 meanwhile is shown if it fails.

    TensorFlow's C++ code writes six lines about oneDNN and CUDA there while it is loaded, before
    its log has a level and whatever `TF_CPP_MIN_LOG_LEVEL` says, and it has no setting that
    prevents them (tensorflow/tensorflow issues 62770 and 79029). Of an error in one line they would
    make seven. Nothing else in tfmem redirects a descriptor.
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
