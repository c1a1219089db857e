"""What training a trial yields, whichever trainer did it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfmem.subsets import Trial


@dataclass(frozen=True)
class Outcome:
    """Predictions of one trained model, made with `training=False`.

    Attributes:
      train_correct: bool `[num_train]`.
      test_correct: bool `[num_test]`.
      train_prob: float16 `[num_train]`, probability of the true label.
      test_prob: float16 `[num_test]`.
    """

    train_correct: np.ndarray
    test_correct: np.ndarray
    train_prob: np.ndarray
    test_prob: np.ndarray


class Trainer(Protocol):
    """Trains a group of trials.

    Attributes:
      stack_size: how many trials `train` takes at once.
    """

    stack_size: int

    def train(self, trials: Sequence[Trial], on_epoch: Callable[[], None]) -> list[Outcome]:
        """Trains a model for each trial and predicts all examples; `on_epoch` marks progress.

        Raises:
          InputError: if a trial's loss is no longer a finite number.
        """
