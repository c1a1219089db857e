"""Trains several models together in one JAX program (see `tfmem.training.epochs.Machine`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tfmem.config import TrainingSettings
from tfmem.models.outputs import output_kind, output_shape
from tfmem.subsets import Trial
from tfmem.tasks import Task
from tfmem.training.epochs import (
    Batches,
    batches_of_epoch,
    evaluation_batch,
    joined,
    mean_losses,
    train_epochs,
)
from tfmem.training.initialization import Initializer
from tfmem.training.on_jax.programs import Programs, Values
from tfmem.training.on_jax.resident import Examples
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.several import epochs_at_once

_MULTIPLE = 32  # of which batches of predictions are, for the sake of GPUs


class Cell:
    """A variable of a stack, which programs replace (see `tfmem.training.outcome.Variable`)."""

    def __init__(self, shape: Sequence[int], dtype: Any, device: Any) -> None:
        """Holds zeros."""
        self._device = device
        self.value: jax.Array = jax.device_put(jnp.zeros(shape, dtype), device)

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape."""
        return self.value.shape

    @property
    def dtype(self) -> Any:
        """Its type."""
        return self.value.dtype

    def assign(self, value: np.ndarray) -> None:
        """Copies an array to the device."""
        self.value = jax.device_put(np.array(value, self.dtype), self._device)

    def numpy(self) -> np.ndarray:
        """Its value, copied from the device."""
        return np.array(self.value)


class StackedTrainer:
    """Trains `stack_size` models at a time (see `tfmem.training.outcome.Trainer`).

    Attributes:
      variables: weights, state, and what the optimizer remembers, `[stack, ...]` each.
      num_values: number of those that are the models' own.
    """

    def __init__(
        self,
        programs: Programs,
        examples: Examples,
        settings: TrainingSettings,
        device: Any,
        task: Task,
        initializer: Initializer,
    ) -> None:
        """Makes the variables of a stack.

        Args:
          programs: the programs of stacks of one size.
          examples: the data set, on the same device.
          settings: epochs, batch size, augmentation.
          device: the device, of JAX; None is the first one.
          task: how examples are scored.
          initializer: draws the variables of a trial.
        """
        self.stack_size = programs.size
        self.initializer = initializer
        self._programs = programs
        self._examples = examples
        self._settings = settings
        self._device = device
        self._task = task
        self._first = programs.rule.first()
        model = programs.model
        self._weights, self._state, self._memory = (
            [Cell((self.stack_size, *v.shape), v.dtype, device) for v in group]
            for group in (model.trainable_variables, model.non_trainable_variables, self._first)
        )
        self.variables = [*self._weights, *self._state, *self._memory]
        self.num_values = len(self._weights) + len(self._state)

    def rates(self, steps: int) -> np.ndarray:
        """See `Machine.rates`."""
        return self._programs.rule.rates(steps)

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains one stack; see `Trainer.train`."""
        return train_epochs(self, self._settings, trials, subsets, watch(trials))

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """See `Machine.assign`."""
        cells = self.variables[: self.num_values]
        given = [np.asarray(v, cell.dtype) for v, cell in zip(values, cells, strict=True)]
        for cell in self.variables:
            cell.value.delete()  # makes room
        count = len(self._weights)
        first = given[:count], given[count:], self._first
        self._keep(self._programs.begin(first, self._device))

    def run_epoch(
        self, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
    ) -> np.ndarray:
        """Makes one pass over the subsets; the last batch may be smaller (see `Machine`)."""
        return self._ran(self._programs.epoch, orders, draws, rates)

    def epochs_at_once(self, size: int) -> int:
        """See `QuickMachine.epochs_at_once`; by the products of weights with inputs, and memory."""
        return epochs_at_once(self._programs.model, self.stack_size, size)

    def run_epochs(self, orders: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """See `QuickMachine.run_epochs`."""
        return self._ran(self._programs.epochs, orders, None, rates)

    def _ran(
        self,
        program: Callable[..., tuple[Values, jax.Array]],
        orders: np.ndarray,
        draws: np.ndarray | None,
        rates: np.ndarray,
    ) -> np.ndarray:
        """Runs the program of an epoch or of several; returns the mean losses."""
        parts = batches_of_epoch(self._settings, orders, draws, rates)
        by_step = [self._by_step(part) for part in parts]
        values, done = program(self._values(), self._examples.arrays, by_step)
        self._keep(values)
        losses = np.moveaxis(np.asarray(done), (-3, -2), (0, 1))
        return mean_losses([(part.length, *sums) for part, sums in zip(parts, losses, strict=True)])

    def _by_step(self, part: Batches) -> Batches:
        """Batches as programs receive them, steps before models."""
        moves = None if part.moves is None else part.moves.swapaxes(-4, -3)
        return Batches(self._examples.feed(part.examples.swapaxes(-3, -2)), moves, part.rates)

    def _values(self) -> Values:
        groups = self._weights, self._state, self._memory
        return Values(*([cell.value for cell in group] for group in groups))

    def _keep(self, values: Values) -> None:
        for cell, value in zip(self.variables, chain.from_iterable(values), strict=True):
            cell.value = value

    def predict(self) -> list[TrialOutcome]:
        """See `Machine.predict`."""
        if self._programs.rule.averages:
            self._keep(self._programs.finish(self._values()))
        found = joined(self._in_parts(self._programs.scores, self._examples.count), axis=1)
        targets, n = self._examples.all_targets, self._examples.num_train
        models = [
            self._task.on_host(targets, {name: values[model] for name, values in found.items()})
            for model in range(self.stack_size)
        ]
        return [TrialOutcome(scores[:n], scores[n:]) for scores in models]

    def probabilities(self) -> np.ndarray:
        """Probabilities of all classes for the training examples, `[stack, num_train, classes]`."""
        parts = self._in_parts(self._programs.outputs, self._examples.num_train)
        outputs = np.concatenate([np.asarray(part, np.float32) for part in parts], axis=1)
        logits = output_kind(self._programs.model) == "logits"
        if outputs.ndim > 2 and outputs.shape[-1] > 1:
            return np.asarray(jax.nn.softmax(outputs)) if logits else outputs
        one = outputs.reshape(outputs.shape[:2])
        one = np.asarray(jax.nn.sigmoid(one)) if logits else one
        return np.stack([1 - one, one], axis=-1)

    def _in_parts(self, program: Callable[..., Any], count: int) -> list[Any]:
        """What a program returns for `count` examples, `[stack, batch, ...]` for each batch.

        All batches have one size, so that there is one program; the last one is cut. Therefore as
        few as possible are predicted in vain.
        """
        values, parts = self._values(), []
        most = evaluation_batch(output_shape(self._programs.model), self.stack_size)
        even = -(-count // -(-count // most))
        batch = min(most, -(-even // _MULTIPLE) * _MULTIPLE)
        for start in range(0, count, batch):
            indices = np.arange(start, start + batch, dtype=np.int32)
            found = program(values, self._examples.arrays, np.minimum(indices, count - 1))
            left = min(batch, count - start)
            parts.append(jax.tree.map(lambda part, end=left: np.asarray(part)[:, :end], found))
        return parts
