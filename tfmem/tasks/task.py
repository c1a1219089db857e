"""The interface of tasks, and the scores that they give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

OutputKind = Literal["logits", "probabilities"]


@dataclass(frozen=True)
class Scores:
    """What one model gets right of some examples.

    Attributes:
      correct: bool `[examples]`, whether the prediction is the target; None if the task cannot say.
      margin: float32 `[examples]`, `log(p / (1 - p))` of the probability `p` of the true label;
        None without classes.
      score: float32 `[examples]`, the task's score; None if that is `correct`.
      name: the score's name; empty if there is none beside `correct`.
    """

    correct: np.ndarray | None = None
    margin: np.ndarray | None = None
    score: np.ndarray | None = None
    name: str = ""

    def __getitem__(self, chosen: Any) -> Scores:
        """The scores of some examples."""
        correct, margin, score = (
            None if part is None else part[chosen]
            for part in (self.correct, self.margin, self.score)
        )
        return Scores(correct, margin, score, self.name)


class Task(Protocol):
    """A task, for a model whose outputs have a known shape and meaning."""

    @property
    def score(self) -> str | None:
        """Name of the score; None if that is whether a prediction is correct."""

    def in_program(self, labels: Any, targets: Any, outputs: Any) -> dict[str, Any]:
        """What a program computes of a batch, from tensors.

        Args:
          labels: int32 `[batch]`, classes; 0 for all examples if there are no classes.
          targets: `[batch, ...]`, what the model is trained to predict.
          outputs: what the model returned, `[batch, ...]` or a collection of such tensors.

        Returns:
          Tensors `[batch, ...]` by name, which `on_host` receives as arrays.
        """

    def on_host(self, targets: np.ndarray, found: Mapping[str, Any]) -> Scores:
        """The scores of the examples, from what programs computed.

        Args:
          targets: `[examples, ...]`.
          found: arrays `[examples, ...]` by the names of `in_program`.

        Raises:
          InputError: if a user's function fails or returns something else than one finite number
            for each example.
        """


def accuracy(scores: Scores) -> float:
    """The share of examples that are predicted correctly; NaN if the task cannot say."""
    if scores.correct is None or not len(scores.correct):
        return float("nan")
    return float(scores.correct.mean())
