"""The state of trials that are being trained, so that one that was killed goes on."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder
from tfmem.store.npz import PLAIN, NpzFile

if TYPE_CHECKING:
    import tensorflow as tf


class Checkpoint:
    """The checkpoint of trials that are trained together.

    A file `first-count.npz` with arrays `epoch` (the next one), `losses`, and `v0, v1, …`: weights
    and state, then velocities, in the trainer's order; those of stacked models have the trial as
    their first axis.
    """

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
        if not self._folder.exists(self._name):
            return 0, None
        try:
            contents = self._folder.read(self._name)
        except FileNotFoundError:  # another worker has finished
            return 0, None
        try:
            with NpzFile(contents, self._folder.path(self._name)) as arrays:
                if arrays.array("digest", "u", ("bytes",)).tobytes() != self._digest:
                    return 0, None
                values = [_value(arrays, f"v{i}", v) for i, v in enumerate(variables)]
                epoch = int(arrays.array("epoch", "iu", ()))
                losses = arrays.array("losses", "f", ("trials",))
        except InputError as error:
            print(f"{error}: its trials begin anew", file=sys.stderr)
            return 0, None
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        return epoch, losses

    def save_if_due(
        self, epoch: int, losses: np.ndarray, variables: Sequence[tf.Variable], force: bool
    ) -> None:
        """Saves the state after an epoch if the last time is long enough ago, or by force."""
        if not force and time.monotonic() - self._last < self._seconds:
            return
        file = io.BytesIO()
        arrays: dict[str, Any] = {f"v{i}": np.asarray(v.numpy()) for i, v in enumerate(variables)}
        digest = np.frombuffer(self._digest, np.uint8)
        np.savez(file, epoch=epoch + 1, losses=losses, digest=digest, **arrays)
        self._folder.make()
        self._folder.write(self._name, file.getvalue())
        self._last = time.monotonic()

    def remove(self) -> None:
        """Removes the file."""
        self._folder.remove(self._name)


def _value(arrays: NpzFile, name: str, variable: tf.Variable) -> np.ndarray:
    """What a variable held; numpy knows types such as bfloat16 by their size only."""
    kind = np.dtype(variable.dtype.as_numpy_dtype)
    value = arrays.array(name, PLAIN + "V", tuple(variable.shape))
    if value.dtype != kind and (value.dtype.kind, value.itemsize) != ("V", kind.itemsize):
        raise InputError(f"{arrays.source}: {name}: expected {kind}, received {value.dtype}")
    return value.view(kind)
