"""Trains one model on the whole training set, and keeps its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import numpy as np

from tfmem.config import Config
from tfmem.datasets import Dataset
from tfmem.models import build
from tfmem.store.folders import open_folder
from tfmem.subsets import Trial
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.learning import check_learned
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.outcome import TrialOutcome, Watcher
from tfmem.training.trainers import model_builder

if TYPE_CHECKING:
    import tensorflow as tf


class _Keeper:
    """Saves the state now and then and at the end, and calls another watcher (see `Watcher`)."""

    def __init__(self, checkpoint: Checkpoint, epochs: int, watcher: Watcher) -> None:
        self._checkpoint = checkpoint
        self._epochs = epochs
        self._watcher = watcher

    def resume(self, variables: Sequence[tf.Variable]) -> tuple[int, np.ndarray | None]:
        epoch, losses = self._checkpoint.load(variables)
        if losses is not None:
            self._watcher.after_epoch(epoch - 1, losses, variables)
        return epoch, losses

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[tf.Variable]) -> None:
        last = epoch + 1 == self._epochs
        self._checkpoint.save_if_due(epoch, losses, variables, force=last)
        self._watcher.after_epoch(epoch, losses, variables)


def train_on_all(
    config: Config,
    dataset: Dataset,
    trial_id: int,
    location: str | os.PathLike[str],
    watcher: Watcher,
) -> tuple[keras.Model, TrialOutcome]:
    """Trains a model on all training examples, or loads it if it was trained before.

    The model has the seeds of a trial, but sees the whole training set.

    Args:
      config: model and recipe.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      location: folder for the weights, from which interrupted training continues.
      watcher: called after every epoch.

    Returns:
      The model, in float32 whatever precision it was trained in; and its predictions.

    Raises:
      InputError: if the model diverged.
    """
    settings = config.training
    trainer = MirroredTrainer(model_builder(config, dataset), dataset, settings)
    checkpoint = Checkpoint(
        open_folder(location),
        f"whole-{trial_id:05d}.npz",
        config.digest() + dataset.fingerprint,
        settings.checkpoint_minutes,
    )
    keeper = _Keeper(checkpoint, settings.epochs, watcher)
    everything = np.arange(len(dataset.train_labels))
    trials = [Trial(trial_id, config.seed)]
    (outcome,) = trainer.train(trials, [everything], lambda trials: keeper)
    check_learned(outcome.loss, settings)
    model = build(config.model, dataset.input_shape, len(dataset.class_names))
    model.set_weights(trainer.model.get_weights())
    return model, outcome
