"""Trains one model on the whole training set, keeps its weights, and loads it from them."""

from __future__ import annotations

import os
from collections.abc import Sequence

import keras
import numpy as np

from tfmem.config import Config
from tfmem.datasets import Dataset
from tfmem.messages.errors import InputError
from tfmem.store.folders import open_folder
from tfmem.subsets import Trial
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.learning import check_learned
from tfmem.training.outcome import TrialOutcome, Variable, Watcher
from tfmem.training.trainers import model_in_float32, trainer_of_one


class _Keeper:
    """Saves the state now and then and at the end, and calls another watcher (see `Watcher`)."""

    def __init__(self, checkpoint: Checkpoint, epochs: int, watcher: Watcher) -> None:
        self._checkpoint = checkpoint
        self._epochs = epochs
        self._watcher = watcher

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        epoch, losses = self._checkpoint.load(variables)
        if losses is not None:
            self._watcher.after_epoch(epoch - 1, losses, variables)
        return epoch, losses

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        last = epoch + 1 == self._epochs
        self._checkpoint.save_if_due(epoch, losses, variables, force=last)
        self._watcher.after_epoch(epoch, losses, variables)


class _Loader:
    """Loads a finished state, refuses any other, and calls another watcher (see `Watcher`)."""

    def __init__(self, checkpoint: Checkpoint, epochs: int, watcher: Watcher, missing: str) -> None:
        self._checkpoint = checkpoint
        self._epochs = epochs
        self._watcher = watcher
        self._missing = missing

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        epoch, losses = self._checkpoint.load(variables)
        if losses is None or epoch != self._epochs:
            raise InputError(self._missing)
        self._watcher.after_epoch(epoch - 1, losses, variables)
        return epoch, losses

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
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
    checkpoint = _checkpoint(config, dataset, trial_id, location)
    return _model(config, dataset, trial_id, _Keeper(checkpoint, config.training.epochs, watcher))


def load_trained(
    config: Config,
    dataset: Dataset,
    trial_id: int,
    location: str | os.PathLike[str],
    watcher: Watcher,
) -> tuple[keras.Model, TrialOutcome]:
    """Loads a model that `train_on_all` has trained, and trains nothing.

    Args:
      config: model and recipe.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      location: folder of the weights, which stays as it is.
      watcher: called once, after the last epoch.

    Returns:
      What `train_on_all` returns.

    Raises:
      InputError: if the folder does not hold the weights of this model after its last epoch.
    """
    epochs = config.training.epochs
    missing = (
        f"{location}: expected {_name(trial_id)} with the weights after {epochs} epochs of a model "
        "with these settings and data, found none: train the model again"
    )
    checkpoint = _checkpoint(config, dataset, trial_id, location)
    return _model(config, dataset, trial_id, _Loader(checkpoint, epochs, watcher, missing))


def _name(trial_id: int) -> str:
    return f"whole-{trial_id:05d}.npz"


def _checkpoint(
    config: Config, dataset: Dataset, trial_id: int, location: str | os.PathLike[str]
) -> Checkpoint:
    about = config.digest() + dataset.fingerprint
    minutes = config.training.checkpoint_minutes
    return Checkpoint(open_folder(location), _name(trial_id), about, minutes)


def _model(
    config: Config, dataset: Dataset, trial_id: int, watcher: Watcher
) -> tuple[keras.Model, TrialOutcome]:
    """The model that training leads to from the state that a watcher resumes; its predictions."""
    settings = config.training
    trainer = trainer_of_one(config, dataset)
    everything = np.arange(len(dataset.train_labels))
    trials = [Trial(trial_id, config.seed)]
    (outcome,) = trainer.train(trials, [everything], lambda trials: watcher)
    check_learned(outcome.loss, settings)
    model = model_in_float32(config, dataset)
    model.set_weights(trainer.model.get_weights())
    return model, outcome
