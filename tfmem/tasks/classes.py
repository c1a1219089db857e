"""Classification: one output for each class, or one output for two classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfmem.tasks.task import OutputKind, Scores

SCORES = ("correct", "probability", "margin", "loss")
_LEAST = 1.2e-38  # probability; the logarithm of a smaller one, which is not normal, is infinite


@dataclass(frozen=True)
class ClassTask:
    """One class for each example (see `Task`).

    Attributes:
      outputs: whether models return logits or probabilities, `[batch, classes]`, or `[batch, 1]`
        or `[batch]` of class 1 of two.
      score: None, or one of `SCORES`.
      one_output: whether models have one output for two classes.
    """

    outputs: OutputKind
    score: str | None = None
    one_output: bool = False

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """See `Task.in_program`."""
        del targets
        outputs = ops.cast(outputs, "float32")
        read = _read_one if self.one_output else _read
        correct, margin = read(outputs, labels, self.outputs)
        return {"correct": correct, "margin": margin}

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """See `Task.on_host`."""
        del targets
        margin = np.asarray(found["margin"])
        correct = np.asarray(found["correct"])
        return Scores(correct, margin, _score(margin, self.score), self.score or "")


LOGITS = ClassTask("logits")


def _score(margin: np.ndarray, score: str | None) -> np.ndarray | None:
    match score:
        case "probability":
            return np.exp(-np.logaddexp(np.float32(0), -margin))
        case "margin":
            return margin
        case "loss":
            return -np.logaddexp(np.float32(0), -margin)
    return None


def _read(outputs: Any, labels: Any, kind: OutputKind) -> tuple[Any, Any]:
    """Correctness and margin of the true label, `[batch]`, from `[batch, classes]`.

    The margin is the label's logit less the logarithm of the sum of the other logits'
    exponentials, so that no digit is lost if its probability is near 1; of probabilities it is
    the logarithm of the label's less that of the sum of the others'.
    """
    correct = ops.equal(ops.argmax(outputs, axis=-1), ops.cast(labels, "int32"))
    own = ops.one_hot(labels, ops.shape(outputs)[-1], dtype="bool")
    if kind == "probabilities":
        mine = ops.sum(ops.where(own, outputs, 0.0), axis=-1)
        others = ops.sum(ops.where(own, 0.0, outputs), axis=-1)
        return correct, ops.log(ops.maximum(mine, _LEAST)) - ops.log(ops.maximum(others, _LEAST))
    mine = ops.sum(ops.where(own, outputs, 0.0), axis=-1)
    others = ops.where(own, -np.inf, outputs)
    most = ops.max(others, axis=-1, keepdims=True)
    most = ops.where(ops.isinf(most), 0.0, most)
    log_sum = ops.log(ops.sum(ops.exp(others - most), axis=-1)) + most[..., 0]
    return correct, mine - log_sum


def _read_one(outputs: Any, labels: Any, kind: OutputKind) -> tuple[Any, Any]:
    """Correctness and margin of the true label, `[batch]`, from one output for class 1."""
    outputs = ops.reshape(outputs, [-1])
    is_one = ops.equal(ops.cast(labels, "int32"), 1)
    if kind == "logits":
        of_one = outputs
    else:
        of_one = ops.log(ops.maximum(outputs, _LEAST)) - ops.log(ops.maximum(1 - outputs, _LEAST))
    return ops.equal(of_one > 0, is_one), ops.where(is_one, of_one, -of_one)
