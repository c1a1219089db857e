"""Watches trials in training: saves checkpoints and scalars, shows progress, stops on request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import numpy as np

from tfmem.config import TrainingSettings
from tfmem.store.journal import TrialNote
from tfmem.subsets import Trial
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.outcome import Variable
from tfmem.training.scalars import Scalars


class TrialWatcher:
    """Follows trials that are trained together (see `outcome.Watcher`)."""

    def __init__(
        self,
        settings: TrainingSettings,
        trials: Sequence[Trial],
        checkpoint: Checkpoint,
        scalars: Scalars | None,
        show: Callable[[float], None],
        stop: threading.Event,
    ) -> None:
        """Begins to watch trials.

        Args:
          settings: the number of epochs, and whether the last checkpoint is kept.
          trials: the trials that are trained together.
          checkpoint: the checkpoint of these trials.
          scalars: writes losses and accuracies; None writes none.
          show: called after every epoch with the number of trials that are done.
          stop: an event that ends training after the present epoch.
        """
        self._trials = trials
        self._checkpoint = checkpoint
        self._scalars = scalars
        self._show = show
        self._stop = stop
        self._epochs = settings.epochs
        self._keep = settings.keep_checkpoints

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        """See `Watcher.resume`."""
        return self._checkpoint.load(variables)

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """See `Watcher.after_epoch`.

        Raises:
          KeyboardInterrupt: if `stop` is set.
        """
        stopped = self._stop.is_set()
        keep = self._keep and epoch + 1 == self._epochs
        if len(variables):
            self._checkpoint.save_if_due(epoch, losses, variables, force=keep or stopped)
        if stopped:
            raise KeyboardInterrupt
        self._tell(epoch, losses)

    def after_epochs(self, first: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        """See `PatientWatcher.after_epochs`; raises as `after_epoch` does."""
        last = len(losses) - 1
        for number in range(last):
            self._tell(first + number, losses[number])
        self.after_epoch(first + last, losses[last], variables)

    def _tell(self, epoch: int, losses: np.ndarray) -> None:
        self._show(len(self._trials) * (epoch + 1) / (self._epochs + 1))
        if self._scalars:
            for trial, loss in zip(self._trials, losses, strict=True):
                self._scalars.write(trial.trial_id, epoch, {"loss": float(loss)})

    def end(self, notes: Sequence[TrialNote]) -> None:
        """Ends the watch when predictions are stored; `notes` include those of the trials."""
        if not self._keep:
            self._checkpoint.remove()
        if not self._scalars:
            return
        known = {note.trial: note for note in notes}
        for note in (known[t.trial_id] for t in self._trials if t.trial_id in known):
            values = {"accuracy/train": note.train_accuracy, "accuracy/test": note.test_accuracy}
            self._scalars.write(note.trial, self._epochs, values)
            self._scalars.close(note.trial)
