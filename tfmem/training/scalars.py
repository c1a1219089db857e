"""Writes the course of each trial as scalars for TensorBoard."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tfmem.messages.errors import InputError


class Scalars:
    """Writes TensorBoard scalars, one folder for each trial; TensorBoard need not be installed."""

    def __init__(self, location: str) -> None:
        """Takes the folder that TensorBoard will show."""
        self._location = location
        self._writers: dict[int, Any] = {}
        self._lock = threading.Lock()

    def write(self, trial: int, step: int, values: dict[str, float]) -> None:
        """Adds values of a trial at a step, which is an epoch.

        Raises:
          InputError: naming the trial's folder, if it cannot be written to.
        """
        import tensorflow as tf
        from tensorflow.core.framework.summary_pb2 import DATA_CLASS_SCALAR, SummaryMetadata

        plugin = SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)
        with self._lock, self._writing(trial):
            if trial not in self._writers:
                self._writers[trial] = tf.summary.create_file_writer(self._folder(trial))
            with self._writers[trial].as_default():
                for name, value in values.items():
                    tf.summary.write(name, np.float32(value), step, metadata)

    def close(self, trial: int) -> None:
        """Closes the file of a trial that has ended.

        Raises:
          InputError: naming the trial's folder, if it cannot be written to.
        """
        with self._lock, self._writing(trial):
            if writer := self._writers.pop(trial, None):
                writer.close()

    def _folder(self, trial: int) -> str:
        return f"{self._location}/trial-{trial:05d}"

    @contextmanager
    def _writing(self, trial: int) -> Iterator[None]:
        """Tells what the file system refuses from what a device does: their types are the same."""
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            cause = error.message.partition("\n")[0].rpartition("; ")[2]  # a path stands before it
            raise InputError(f"{self._folder(trial)}: scalars cannot be written: {cause}") from None
