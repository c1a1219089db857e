"""The result of training a trial, and the interfaces that every trainer has."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tfmem.subsets import Trial
from tfmem.tasks import Scores


class Variable(Protocol):
    """A variable of a program, which a checkpoint saves: TensorFlow's, or one like it."""

    @property
    def shape(self) -> Any:
        """Its shape."""

    @property
    def dtype(self) -> Any:
        """Its type, of TensorFlow or of numpy."""

    def assign(self, value: Any) -> Any:
        """Sets it to an array."""

    def numpy(self) -> Any:
        """Its value."""


@dataclass(frozen=True)
class TrialOutcome:
    """Predictions of one trained model, made with `training=False`.

    Attributes:
      train: scores of the training examples, `[num_train]` each.
      test: scores of the test examples, `[num_test]` each.
      loss: mean training loss over the last epoch; not finite if the trial diverged.
    """

    train: Scores
    test: Scores
    loss: float = 0.0


class Watcher(Protocol):
    """Follows a group of trials while they are trained, and may hold an earlier state of them."""

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        """Sets variables to the saved state, if there is one.

        Returns:
          The next epoch, and the losses of the epoch before it; 0 and None if no state was saved.
        """

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """Receives the mean training loss of each model over a finished epoch, `[trials]`.

        Without variables there is no state to save.
        """


@runtime_checkable
class PatientWatcher(Watcher, Protocol):
    """A watcher that can do without the variables of some epochs."""

    def after_epochs(self, first: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """Receives the losses of several finished epochs at once.

        Args:
          first: the first of these epochs.
          losses: mean training losses, `[epochs, trials]`.
          variables: those after the last of these epochs.
        """


class Unwatched:
    """A watcher that saves and tells nothing."""

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        """Nothing is saved."""
        return 0, None

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """Nothing is told."""

    def after_epochs(self, first: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """Nothing is told."""


WatcherOf = Callable[[Sequence[Trial]], Watcher]


class Trainer(Protocol):
    """Trains a group of trials.

    Attributes:
      stack_size: number of trials that `train` takes at once.
    """

    stack_size: int

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains a model for each trial, and predicts all examples.

        Args:
          trials: `stack_size` trials.
          subsets: the training examples of each trial, int64 `[m]`, with the same `m` for all.
          watch: makes a watcher for the trials that are trained together.
        """
