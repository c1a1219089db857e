"""When the state of trials in training is saved, so that one that was killed goes on."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.checkpoints import Form, TrainingState, read_state, write_state
from tfmem.store.folders import Folder

if TYPE_CHECKING:
    import tensorflow as tf


class Checkpoint:
    """The checkpoint of trials that are trained together, a file (see `store.checkpoints`)."""

    def __init__(self, folder: Folder, name: str, digest: bytes, minutes: float) -> None:
        """Names a checkpoint.

        Args:
          folder: where checkpoints are.
          name: of the file.
          digest: what the state depends on; a checkpoint with another one is not taken.
          minutes: least time between two.
        """
        self._folder = folder
        self._name = name
        self._digest = digest
        self._seconds = 60 * minutes
        self._last = time.monotonic()

    def load(self, variables: Sequence[tf.Variable]) -> tuple[int, np.ndarray | None]:
        """Sets the variables to what was saved; see `Watcher.resume`."""
        forms = [Form(tuple(v.shape), np.dtype(v.dtype.as_numpy_dtype)) for v in variables]
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
        self, epoch: int, losses: np.ndarray, variables: Sequence[tf.Variable], force: bool
    ) -> None:
        """Saves the state after an epoch if the last time is long enough ago, or by force."""
        if not force and time.monotonic() - self._last < self._seconds:
            return
        values = [np.asarray(variable.numpy()) for variable in variables]
        state = TrainingState(epoch + 1, losses, values)
        write_state(self._folder, self._name, self._digest, state)
        self._last = time.monotonic()

    def remove(self) -> None:
        """Removes the file."""
        self._folder.remove(self._name)
