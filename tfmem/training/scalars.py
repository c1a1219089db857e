"""Writes the course of each trial as scalars for TensorBoard."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np


class Scalars:
    """Writes TensorBoard scalars, one folder for each trial; TensorBoard need not be installed."""

    def __init__(self, location: str) -> None:
        """Takes the folder that TensorBoard will show."""
        self._location = location
        self._writers: dict[int, Any] = {}
        self._lock = threading.Lock()

    def write(self, trial: int, step: int, values: dict[str, float]) -> None:
        """Adds values of a trial at a step, which is an epoch."""
        import tensorflow as tf
        from tensorflow.core.framework.summary_pb2 import DATA_CLASS_SCALAR, SummaryMetadata

        plugin = SummaryMetadata.PluginData(plugin_name="scalars")
        metadata = SummaryMetadata(plugin_data=plugin, data_class=DATA_CLASS_SCALAR)
        with self._lock:
            if trial not in self._writers:
                folder = f"{self._location}/trial-{trial:05d}"
                self._writers[trial] = tf.summary.create_file_writer(folder)
            with self._writers[trial].as_default():
                for name, value in values.items():
                    tf.summary.write(name, np.float32(value), step, metadata)

    def close(self, trial: int) -> None:
        """Closes the file of a trial that has ended."""
        with self._lock:
            if writer := self._writers.pop(trial, None):
                writer.close()
