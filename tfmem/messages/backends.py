"""Keras' backend, which a process chooses once: TensorFlow or JAX."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Literal

from tfmem.messages.errors import InputError
from tfmem.messages.quiet import import_tensorflow

Backend = Literal["tensorflow", "jax"]
NAMES: dict[Backend, str] = {"tensorflow": "TensorFlow", "jax": "JAX"}


def backend() -> Backend:
    """The backend that Keras runs on in this process, or will run on once it is imported.

    Keras takes the environment variable `KERAS_BACKEND`, else its own settings, else TensorFlow.

    Raises:
      InputError: if it is neither TensorFlow nor JAX.
    """
    name = _of_keras() if "keras" in sys.modules else _asked_for()
    for known in NAMES:
        if name == known:
            return known
    raise InputError(
        f"Keras' backend: expected {' or '.join(NAMES)}, received {name!r} (from the environment "
        "variable KERAS_BACKEND or Keras' settings)"
    )


def use_backend(name: Backend) -> bool:
    """Has Keras run on a backend in this process, unless it runs on another one already.

    Returns:
      Whether Keras runs on this backend.

    Raises:
      InputError: if the backend is not installed.
    """
    if importlib.util.find_spec(name) is None:
        extra = " (pip install 'tfmem[jax]')" if name == "jax" else ""
        raise InputError(f"training.backend: {name!r} is not installed{extra}")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = name
    return backend() == name


def import_backend() -> None:
    """Imports what Keras runs on, before Keras itself and without its messages."""
    if backend() == "tensorflow":
        import_tensorflow()


def import_tensorflow_for(what: str) -> None:
    """Imports TensorFlow for work that only its programs do.

    Args:
      what: the work, as the subject of a sentence in the plural.

    Raises:
      InputError: if Keras runs on another backend in this process.
    """
    if (on := backend()) != "tensorflow":
        raise InputError(
            f"{what} are computed by TensorFlow, and Keras runs on {on!r} here: run this with "
            "training.backend=tensorflow (and without KERAS_BACKEND), in a folder of its own if "
            f"the run's models were trained on {on!r}"
        )
    import_tensorflow()


def _of_keras() -> str:
    import keras

    return keras.config.backend()


def _asked_for() -> str:
    if name := os.environ.get("KERAS_BACKEND"):
        return name
    home = os.environ.get("KERAS_HOME") or Path.home() / ".keras"
    try:
        settings = json.loads((Path(home) / "keras.json").read_text())
        return str(settings.get("backend", "tensorflow"))
    except (OSError, ValueError, AttributeError):
        return "tensorflow"
