"""Several answers for each example: labels that may hold together, or positions of a sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfmem.tasks.task import OutputKind, Scores

LABEL_SCORES = ("exact_match", "mean")
SEQUENCE_SCORES = ("accuracy", "loss")
_LEAST = 1.2e-38  # probability; the logarithm of a smaller one, which is not normal, is infinite


@dataclass(frozen=True)
class MultiLabelTask:
    """Labels of which several may hold, with an output for each (see `Task`).

    Attributes:
      outputs: whether models return logits or probabilities, `[batch, labels]`.
      score: None is whether all labels are right; `mean` is the share of labels that are.
    """

    outputs: OutputKind
    score: str | None = None

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """See `Task.in_program`."""
        del labels
        middle = 0.0 if self.outputs == "logits" else 0.5
        right = ops.equal(ops.cast(outputs, "float32") > middle, ops.cast(targets, "float32") > 0.5)
        found = {"correct": ops.all(right, axis=-1)}
        if self.score:
            found["score"] = ops.mean(ops.cast(right, "float32"), axis=-1)
        return found

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """See `Task.on_host`."""
        del targets
        known = {name: np.asarray(values) for name, values in found.items()}
        return Scores(**known, name=self.score or "")


@dataclass(frozen=True)
class SequenceTask:
    """A class for each position of a sequence (see `Task`).

    Attributes:
      outputs: whether models return logits or probabilities, `[batch, length, classes]`.
      score: `accuracy` is the share of positions that are right; `loss` is the mean logarithm of
        the probability of their targets.
      padding: the target of positions that do not count; None counts all.
    """

    outputs: OutputKind
    score: str = "accuracy"
    padding: int | None = None

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """See `Task.in_program`."""
        del labels
        targets, outputs = ops.cast(targets, "int32"), ops.cast(outputs, "float32")
        counts = ops.ones_like(targets, dtype="float32")
        if self.padding is not None:
            counts = ops.cast(ops.not_equal(targets, self.padding), "float32")
            targets = ops.where(ops.equal(targets, self.padding), 0, targets)
        if self.score == "accuracy":
            each = ops.cast(ops.equal(ops.argmax(outputs, axis=-1), targets), "float32")
        else:
            if self.outputs == "logits":
                logs = ops.log_softmax(outputs, axis=-1)
            else:
                logs = ops.log(ops.maximum(outputs, _LEAST))
            each = ops.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
        total = ops.maximum(ops.sum(counts, axis=-1), 1.0)
        return {"score": ops.sum(each * counts, axis=-1) / total}

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """See `Task.on_host`."""
        del targets
        return Scores(score=np.asarray(found["score"]), name=self.score)
