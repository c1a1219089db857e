"""Regression: numbers, scored by how near predictions come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfmem.tasks.task import Scores

SCORES = ("squared_error", "absolute_error")


@dataclass(frozen=True)
class RegressionTask:
    """One number or several for each example (see `Task`).

    Attributes:
      score: one of `SCORES`: the error, averaged over an example's numbers, times -1.
    """

    score: str = "squared_error"

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """See `Task.in_program`."""
        del labels
        outputs = ops.cast(outputs, "float32")
        away = ops.reshape(outputs, ops.shape(targets)) - ops.cast(targets, "float32")
        error = ops.abs(away) if self.score == "absolute_error" else away * away
        flat = ops.reshape(error, [ops.shape(targets)[0], -1])
        return {"score": -ops.mean(flat, axis=-1)}

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """See `Task.on_host`."""
        del targets
        return Scores(score=np.asarray(found["score"]), name=self.score)
