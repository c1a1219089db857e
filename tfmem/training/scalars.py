"""How each trial goes, as scalars for TensorBoard."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np


class Scalars:
    """Writes TensorBoard scalars, one folder a trial; TensorBoard itself is not needed for that."""

    def __init__(self, location: str) -> None:
        """Names the folder that TensorBoard is to be shown."""
        self._location = location
        self._writers: dict[int, Any] = {}
        self._lock = threading.Lock()

    def write(self, trial: int, step: int, values: dict[str, float]) -> None:
        """Adds values of a trial at a step (an epoch)."""
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
        """Nothing more is to come of a trial."""
        with self._lock:
            if writer := self._writers.pop(trial, None):
                writer.close()
