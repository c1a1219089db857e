"""A score that a user wrote, as a function of true values and outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmem.config.functions import users_own
from tfmem.messages.errors import InputError
from tfmem.tasks.task import Scores, Task


@dataclass(frozen=True)
class GivenTask:
    """A task whose score a user wrote (see `Task`).

    Attributes:
      score: the function's name.
      function: takes the targets and the outputs of some examples, numpy arrays `[batch, ...]`, and
        returns a number or a truth value for each, `[batch]`; more is better.
      beside: the task whose correctness and margins records hold as well; None without one.
    """

    score: str
    function: Callable[[Any, Any], Any]
    beside: Task | None = None

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """See `Task.in_program`."""
        found = self.beside.in_program(labels, targets, outputs) if self.beside else {}
        return {**found, "outputs": outputs}

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """See `Task.on_host`."""
        others = {name: values for name, values in found.items() if name != "outputs"}
        known = self.beside.on_host(targets, others) if self.beside else Scores()
        with users_own(f"task.score: {self.score}"):
            scores = np.asarray(self.function(targets, found["outputs"]))
        if scores.shape != (len(targets),) or scores.dtype.kind not in "biuf":
            raise InputError(
                f"task.score: {self.score}: expected a number for each example, "
                f"[{len(targets)}], received {scores.dtype} {list(scores.shape)}"
            )
        return Scores(known.correct, known.margin, scores.astype(np.float32), self.score)
