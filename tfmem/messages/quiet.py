"""Imports TensorFlow and Beam without the lines that they always write."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from tfmem.messages.terminal import is_verbose

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


class _Process:
    is_own = False


def own_process() -> None:
    """Declares that this process is a program of tfmem, which may hide lines of libraries."""
    _Process.is_own = True
    _find_devices()


def import_tensorflow() -> None:
    """Imports TensorFlow, which then logs only errors, unless the environment asks for more.

    If tfmem is used as a library, or with `--verbose`, the lines that the import writes are shown.
    """
    if "tensorflow" in sys.modules:
        return
    os.environ.setdefault(_LEVEL, "3")
    if _Process.is_own and not is_verbose():
        with _unheard():
            import tensorflow
    else:
        import tensorflow  # noqa: F401


def import_beam() -> None:
    """Imports Beam, without its warning that it found no libraries of Google Cloud."""
    if "apache_beam" in sys.modules or is_verbose():
        return
    root = logging.getLogger()
    handlers = list(root.handlers)
    root.addFilter(_nothing)
    try:
        import apache_beam  # noqa: F401
    finally:
        root.removeFilter(_nothing)
        root.handlers[:] = handlers  # the warning has added one


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _find_devices() -> None:
    """Lets a TensorFlow that a script has imported look for GPUs, unless that was told to be heard.

    Without one, it writes an error of CUDA when it first looks.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None or is_verbose() or os.environ.get(_LEVEL) == "0":
        return
    os.environ[_LEVEL] = "3"  # for programs that this one starts; Keras has set 1
    with _unheard():
        tensorflow.config.list_physical_devices()


@contextlib.contextmanager
def _unheard() -> Iterator[None]:
    """Shows what is written to file descriptor 2 only if the block fails.

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
            yield
        except Exception:
            file.seek(0)
            os.write(stderr, file.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
