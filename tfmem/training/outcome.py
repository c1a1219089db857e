"""What training a trial yields, whichever trainer did it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.errors import InputError
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


def read_predictions(logits: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Correctness and probability of the true label (float16), `[batch]` each.

    Args:
      logits: `[batch, classes]`.
      labels: int32 `[batch]`.
    """
    correct = tf.equal(tf.argmax(logits, axis=-1, output_type=tf.int32), labels)
    probability = tf.gather(tf.nn.softmax(logits), labels, axis=1, batch_dims=1)
    return correct, tf.cast(probability, tf.float16)


def diverged(trial: Trial, epoch: int, settings: TrainingSettings) -> InputError:
    """What is said of a trial whose loss is no longer a finite number."""
    return InputError(
        f"trial {trial.trial_id} diverged: its loss is not finite after epoch {epoch + 1}; "
        f"training.learning_rate is {settings.learning_rate}"
    )


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
