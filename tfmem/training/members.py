"""Trains a few models beside the trials, and keeps their weights after some epochs.

Their seeds and subsets follow from the run's seed and the model's number; no trial has them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import keras
import numpy as np

from tfmem.config import Config, PythonSettings
from tfmem.datasets import AnyDataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.store.checkpoints import Form, TrainingState, read_state, write_state
from tfmem.store.folders import open_folder
from tfmem.subsets import Trial
from tfmem.subsets.drawing import random_order, subset_size
from tfmem.training.builder import Builder
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.fit import FitTrainer
from tfmem.training.inputs import Inputs, inputs_of, take
from tfmem.training.keras_models import trainer_of_any
from tfmem.training.learning import check_learned
from tfmem.training.outcome import TrialOutcome, Variable, Watcher, WatcherOf
from tfmem.training.own import users_builder
from tfmem.training.platforms import OneByOne
from tfmem.training.trainers import trainer_of_one

_KEY = 2**32 - 7  # first part of the spawn key of these models, which no trial has as number


class Snapshot(NamedTuple):
    """A model as it was after an epoch.

    Attributes:
      model: the model, whose weights change when the next snapshot is taken, and after the last.
      rate: mean learning rate of the epochs since the snapshot before.
    """

    model: keras.Model
    rate: float


class Members:
    """A few models that differ in seeds and, with a fraction below 1, in their subsets.

    Attributes:
      examples: the examples as the models take them.
      epochs: the numbers of the epochs after which weights are kept, ascending.
    """

    def __init__(
        self,
        config: Config,
        dataset: AnyDataset,
        location: str | os.PathLike[str],
        checkpoints: int = 1,
    ) -> None:
        """Names the models, and trains none.

        Args:
          config: model and recipe; the section `gradient_attribution` has the share of the
            training examples that each is trained on.
          dataset: the examples.
          location: folder of the weights.
          checkpoints: number of epochs, evenly spread, after which weights are kept; with 1 only
            those at the end.

        Raises:
          InputError: if the examples are not in memory.
        """
        own = isinstance(config.model, PythonSettings)
        self.examples = dataset if own else as_arrays(config, dataset)
        if isinstance(self.examples, StreamedDataset):
            raise InputError("dataset.image_size: gradients of all examples need them in memory")
        self._config = config
        last = config.training.epochs
        kept = {max(1, round(last * k / checkpoints)) for k in range(1, checkpoints + 1)}
        self.epochs = tuple(sorted(kept))
        self._folder = open_folder(location)
        self._about = config.digest() + dataset.fingerprint
        self._trainer: OneByOne | FitTrainer | None = None
        self._model: keras.Model | None = None

    @cached_property
    def inputs(self) -> tuple[Inputs, Inputs]:
        """The inputs of the training and of the test examples, as the models take them."""
        return inputs_of(self.examples, test=False), inputs_of(self.examples, test=True)

    def build(self) -> keras.Model:
        """A model that is not trained, with all of its variables."""
        return _built(self._config, self.examples)

    def subset(self, number: int) -> np.ndarray:
        """The training examples that a model is trained on, int64, ascending."""
        count = len(self.examples.train_labels)
        fraction = self._config.gradient_attribution.fraction
        if fraction == 1:
            return np.arange(count)
        seed = np.random.SeedSequence(self._config.seed, spawn_key=(_KEY, 1, number))
        size = subset_size(count, fraction, "gradient_attribution.fraction")
        return np.sort(random_order(seed, count)[:size])

    def train(self, number: int, watcher: Watcher) -> None:
        """Trains a model, unless the folder has its weights; interrupted training continues.

        Args:
          number: number of the model.
          watcher: called after every epoch.

        Raises:
          InputError: if the model diverges, or has no gradients.
        """
        settings, digest = self._config.training, self._digest(number)
        if self._has(number, settings.epochs):
            return
        if self._trainer is None:
            self._trainer = _trainer(self._config, self.examples)
        trainer = self._trainer
        subset = self.subset(number)

        def keep(epoch: int, rate: float, values: Sequence[np.ndarray]) -> None:
            state = TrainingState(epoch, np.array([rate]), values)
            write_state(self._folder, _name(number, epoch), digest, state)

        unfinished = f"unfinished-{number:05d}.npz"
        checkpoint = Checkpoint(self._folder, unfinished, digest, settings.checkpoint_minutes)
        rate_of = _rates(trainer, settings.epochs, -(-len(subset) // settings.batch_size))
        keeper = _Keeper(checkpoint, keep, self.epochs, rate_of, lambda: trainer.model, watcher)
        key = np.random.SeedSequence(self._config.seed, spawn_key=(_KEY, 0))
        seed = int(key.generate_state(1, np.uint64)[0] >> 1)
        given = [Trial(number, seed)], [subset], lambda _: keeper
        with _trained(trainer, *given) as outcome:
            check_learned(outcome.loss, settings)
            keeper.finish(settings.epochs)

    def snapshots(self, number: int) -> Iterator[Snapshot]:
        """Yields a trained model as it was after each epoch whose weights are kept.

        With `fit`, whose callbacks may end training early, there may be fewer.

        Raises:
          InputError: if the folder does not have the weights.
        """
        if not self._has(number, self._config.training.epochs):
            raise InputError(
                f"{self._folder}: expected the weights of model {number} with these settings and "
                "data, found none: train it again"
            )
        if self._model is None:
            self._model = self.build()
        weights = _weights(self._model)
        first = [keras.ops.convert_to_numpy(v.value) for v in weights]
        forms = [Form(tuple(v.shape), np.dtype(v.dtype)) for v in weights]
        try:
            for epoch in self.epochs:
                name = _name(number, epoch)
                state = read_state(self._folder, name, self._digest(number), forms)
                if state is None:
                    continue
                _assign(weights, state.values)
                yield Snapshot(self._model, float(state.losses[0]))
        finally:  # layers that a user made outside of `model.build` are as they were
            _assign(weights, first)

    def _digest(self, number: int) -> bytes:
        fraction = self._config.gradient_attribution.fraction
        return self._about + f"{number} {fraction!r} {self.epochs}".encode()

    def _has(self, number: int, epoch: int) -> bool:
        try:
            found = read_state(self._folder, _name(number, epoch), self._digest(number), ())
        except InputError:  # damaged
            return False
        return found is not None


class _Keeper:
    """Saves the state now and then, and keeps weights after some epochs (see `Watcher`)."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        keep: Callable[[int, float, Sequence[np.ndarray]], None],
        epochs: Sequence[int],
        rate_of: Callable[[int], float],
        model: Callable[[], keras.Model],
        watcher: Watcher,
    ) -> None:
        self._checkpoint, self._keep, self._epochs = checkpoint, keep, epochs
        self._rate_of, self._model, self._watcher = rate_of, model, watcher
        self._since: list[float] = []

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        epoch, losses = self._checkpoint.load(variables)
        begin = max((each for each in self._epochs if each <= epoch), default=0)
        self._since = [self._rate_of(each) for each in range(begin, epoch)]
        if losses is not None:
            self._watcher.after_epoch(epoch - 1, losses, variables)
        return epoch, losses

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        self._since.append(self._rate_of(epoch))
        if epoch + 1 in self._epochs[:-1]:
            self._write(epoch + 1)
        if variables:
            self._checkpoint.save_if_due(epoch, losses, variables, force=False)
        self._watcher.after_epoch(epoch, losses, variables)

    def finish(self, epochs: int) -> None:
        """Keeps the weights at the end of the training."""
        self._write(epochs)
        self._checkpoint.remove()

    def _write(self, epoch: int) -> None:
        values = [keras.ops.convert_to_numpy(v.value) for v in _weights(self._model())]
        self._keep(epoch, float(np.mean(self._since or [0.0])), values)
        self._since = []


def _name(number: int, epoch: int) -> str:
    return f"model-{number:05d}-epoch-{epoch:05d}.npz"


@contextmanager
def _trained(
    trainer: OneByOne | FitTrainer, trials: list[Trial], subsets: list[np.ndarray], watch: WatcherOf
) -> Iterator[TrialOutcome]:
    """Trains a model; within the context, the trainer's `model` has the trained weights."""
    if isinstance(trainer, FitTrainer):
        with trainer.trained(trials, subsets, watch) as outcome:
            yield outcome
    else:
        yield trainer.train(trials, subsets, watch)[0]


def _assign(variables: Sequence[keras.Variable], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def _weights(model: keras.Model) -> list[keras.Variable]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _rates(trainer: OneByOne | FitTrainer, epochs: int, steps: int) -> Callable[[int], float]:
    """Returns the mean learning rate of an epoch; with `fit`, the rate at the epoch's end."""
    if isinstance(trainer, FitTrainer):
        return lambda epoch: float(trainer.model.optimizer.learning_rate)
    rates = trainer.rates(epochs * steps).reshape(epochs, steps).mean(axis=1)
    return lambda epoch: float(rates[epoch])


def _trainer(config: Config, examples: AnyDataset) -> OneByOne | FitTrainer:
    config.check_trainable("gradient attribution")
    if not isinstance(config.model, PythonSettings):
        return trainer_of_one(config, as_arrays(config, examples))
    make = users_builder(config.model)
    _check_keras(make())
    return trainer_of_any(make, config, examples)


def _built(config: Config, examples: AnyDataset) -> keras.Model:
    """The model, with all of its variables, in float32 or as its user wrote it."""
    if isinstance(config.model, PythonSettings):
        first = take(inputs_of(examples, test=False), slice(0, 1))
        return Builder(users_builder(config.model), first)()
    arrays = as_arrays(config, examples)
    return build(config.model, arrays.input_shape, len(arrays.class_names))


def _check_keras(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise InputError(
            "model.build: attribution by gradients needs a Keras model, received "
            f"{type(model).__name__}, which has none"
        )
