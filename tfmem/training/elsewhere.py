"""Which backend of Keras trains a run, and training in a program of its own where it is another."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tfmem.config import Config, PythonSettings
from tfmem.messages.backends import backend, use_backend
from tfmem.messages.errors import InputError
from tfmem.store.claims import Worker


def with_backend(config: Config) -> Config:
    """The settings with the backend that trains; None stands for TensorFlow.

    The backend that the settings name is chosen for this program, unless Keras runs on another one
    here already (see `trains_here`). `auto` is None here: what trains a run has chosen a backend
    for its folder by now (see `with_chosen_backend`).

    Raises:
      InputError: if the backend is not installed.
    """
    if not config.has("training") or not config.training.has("backend"):
        return config
    wanted = config.training.backend
    if wanted is not None and wanted != "auto":
        use_backend(wanted)
        return config
    running = None if backend() == "tensorflow" else backend()
    training = config.training.model_copy(update={"backend": running})
    return config.model_copy(update={"training": training})


def trains_here(config: Config) -> bool:
    """Whether Keras runs in this program on the backend that the settings name.

    Raises:
      InputError: if it does not, and the model is a user's own.
    """
    if not config.training.backend or backend() == config.training.backend:
        return True
    if isinstance(config.model, PythonSettings):
        raise InputError(
            f"training.backend: {config.training.backend!r}, but Keras runs on {backend()!r} in "
            "this program: set the environment variable KERAS_BACKEND before Keras is imported"
        )
    return False


def check_backend(config: Config) -> None:
    """Refuses to train on another backend than the settings name.

    Raises:
      InputError: if Keras runs on another one in this program.
    """
    if not trains_here(config):
        raise InputError(
            f"training.backend: {config.training.backend!r}, but Keras runs on {backend()!r} in "
            f"this program: start it with KERAS_BACKEND={config.training.backend}"
        )


def train_elsewhere(config: Config, out: str | os.PathLike[str], worker: Worker | None) -> None:
    """Trains the missing trials of a run by `tfmem train` in a program of its own.

    Args:
      config: the run's settings, which name the backend.
      out: the run's folder.
      worker: this program's number among several that share the folder; None if it is the only one.

    Raises:
      InputError: if the program fails; it has said why.
    """
    chosen = {"KERAS_BACKEND": str(config.training.backend)}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.yaml"
        settings.write_text(config.to_yaml(), encoding="utf-8")
        words = [sys.executable, "-m", "tfmem", "train", str(settings), "--out", os.fspath(out)]
        if worker:
            words += ["--worker", str(worker)]
        ended = subprocess.run(words, env={**os.environ, **chosen}, check=False)
    if ended.returncode:
        raise InputError(f"{out}: training on {config.training.backend} failed, as said above")
