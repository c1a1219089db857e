"""Saves the state of trials in training now and then, so that an interrupted trial continues."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.checkpoints import Form, TrainingState, read_state, write_state
from tfmem.store.folders import Folder
from tfmem.training.outcome import Variable


class Checkpoint:
    """The checkpoint file of trials that are trained together (see `store.checkpoints`)."""

    def __init__(self, folder: Folder, name: str, digest: bytes, minutes: float) -> None:
        """Names the file of a checkpoint, which need not exist.

        Args:
          folder: the folder of checkpoints.
          name: name of the file.
          digest: digest of everything on which the state depends; a checkpoint with another digest
            is ignored.
          minutes: least number of minutes between two checkpoints.
        """
        self._folder = folder
        self._name = name
        self._digest = digest
        self._seconds = 60 * minutes
        self._last = time.monotonic()

    def load(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        """Sets the variables to the saved state; see `Watcher.resume`."""
        forms = [Form(tuple(v.shape), _dtype(v)) for v in variables]
        try:
            saved = read_state(self._folder, self._name, self._digest, forms)
        except InputError as error:
            print(f"{error}: its trials begin anew", file=sys.stderr)
            return 0, None
        if saved is None:
            return 0, None
        for variable, value in zip(variables, saved.values, strict=True):
            variable.assign(value)
        return saved.epoch, saved.losses

    def save_if_due(
        self, epoch: int, losses: np.ndarray, variables: Sequence[Variable], force: bool
    ) -> None:
        """Saves the state after an epoch if the last checkpoint is old enough, or by `force`."""
        if not force and time.monotonic() - self._last < self._seconds:
            return
        values = [np.asarray(variable.numpy()) for variable in variables]
        state = TrainingState(epoch + 1, losses, values)
        write_state(self._folder, self._name, self._digest, state)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Removes the file."""
        self._folder.remove(self._name)


def _dtype(variable: Variable) -> np.dtype[Any]:
    """The type of a variable in numpy, for which TensorFlow has types of its own."""
    return np.dtype(getattr(variable.dtype, "as_numpy_dtype", variable.dtype))
