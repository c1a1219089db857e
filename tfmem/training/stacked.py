"""Trains several models together in one TensorFlow program.

`tf.vectorized_map` turns the forward and backward pass of any Keras model into a pass over a stack
of models, each with its own variables and its own batch. Loss and optimizer are those with which
the model is compiled. The data stay on the device, and the loop over the steps of an epoch runs
inside a `tf.function`. A stack of one model is not mapped.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.models.outputs import output_kind, output_shape
from tfmem.subsets import Trial
from tfmem.tasks import OutputKind, Task
from tfmem.tasks.classes import LOGITS
from tfmem.training.epochs import (
    EVALUATION_BATCH,
    batches_of_epoch,
    evaluation_batch,
    joined,
    mean_losses,
    run_batches,
    train_epochs,
)
from tfmem.training.hosted import Examples
from tfmem.training.initialization import Initializer, VariableInitializer
from tfmem.training.loss_scale import LossScale, all_finite, of_models
from tfmem.training.losses import stateless_loss, stateless_outputs
from tfmem.training.moving import move
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.schedules import rates_of, schedule_of
from tfmem.training.several import epochs_at_once
from tfmem.training.updates import inner_optimizer, make_update

_TRACING = threading.Lock()  # two threads must not trace Keras' layers at the same time


class StackedTrainer:
    """Trains `stack_size` models at a time (see `tfmem.training.outcome.Trainer`)."""

    def __init__(
        self,
        model: keras.Model,
        examples: Examples,
        settings: TrainingSettings,
        stack_size: int,
        device: str | None = None,
        task: Task = LOGITS,
        initializer: Initializer | None = None,
    ) -> None:
        """Prepares the programs and their variables.

        Args:
          model: the compiled model to train; its own variables are not used.
          examples: the data set, on the same device or read from the host.
          settings: epochs, batch size, augmentation.
          stack_size: number of models trained together.
          device: the device of the programs and variables; None leaves it to TensorFlow.
          task: how examples are scored.
          initializer: draws the variables of a trial; None runs the layers' own initializers.

        Raises:
          InputError: if the model cannot be drawn anew for each trial.
        """
        self.stack_size = stack_size
        self._device = device
        self.initializer = initializer or VariableInitializer(model)
        self._model = model
        self._examples = examples
        self._settings = settings
        self._task = task
        self._optimizer = inner_optimizer(model)
        self._loss_scale = None
        with tf.device(device):
            weights = [self._stacked(variable) for variable in model.trainable_variables]
            self._weights = [weight.value for weight in weights]
            self._state = [self._stacked(v).value for v in model.non_trainable_variables]
            if self._optimizer is not model.optimizer:
                self._loss_scale = LossScale(stack_size, model.optimizer)
            skips = self._loss_scale is not None
            self._update = make_update(model, weights, self._mapped, skips)
        self.num_values = len(self._weights) + len(self._state)
        self.variables = [*self._weights, *self._state, *self._update.variables]
        if self._loss_scale:
            self.variables += self._loss_scale.variables
        self._reached = [True] * len(self._weights)
        self._programs: dict[Any, Any] = {}

    def _stacked(self, variable: keras.Variable) -> keras.Variable:
        shape = (self.stack_size, *variable.shape)
        return keras.Variable("zeros", shape, variable.dtype, name=variable.name)

    def rates(self, steps: int) -> np.ndarray:
        """See `Machine.rates`."""
        first = int(self._optimizer._iterations.numpy())
        return rates_of(schedule_of(self._optimizer), steps, first)

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains one stack; see `Trainer.train`."""
        return train_epochs(self, self._settings, trials, subsets, watch(trials))

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """See `Machine.assign`."""
        for variable, drawn in zip(self.variables, values, strict=False):
            variable.assign(drawn)
        self._update.reset()
        if self._loss_scale:
            self._loss_scale.reset()

    def run_epoch(
        self, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
    ) -> np.ndarray:
        """Makes one pass over the subsets; the last batch may be smaller (see `Machine`)."""
        return run_batches(self._run_steps, self._settings, orders, draws, rates)

    def _run_steps(
        self, batches: np.ndarray, moves: np.ndarray | None, rates: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Takes steps, as many at once as the examples' place allows (see `Steps`)."""
        models, count, length = batches.shape
        batches = batches.swapaxes(0, 1)
        moves = None if moves is None else moves.swapaxes(0, 1)
        most = max(1, self._examples.most_at_once(batches.size) // (models * length))
        for first in range(0, count, most):
            steps = slice(first, first + most)
            fed = self._examples.feed(batches[steps])
            chosen = None if moves is None else moves[steps]
            sums, taken = self._run(self._steps, fed, chosen, rates[steps], open_axes=1)
            yield sums.numpy(), taken.numpy()

    def epochs_at_once(self, size: int) -> int:
        """See `QuickMachine.epochs_at_once`."""
        size_of_all = size * self.stack_size
        several = epochs_at_once(self._model, self.stack_size, size)
        return max(1, self._examples.most_at_once(several * size_of_all) // size_of_all)

    def run_epochs(self, orders: np.ndarray, rates: np.ndarray) -> np.ndarray:
        """See `QuickMachine.run_epochs`."""
        parts = batches_of_epoch(self._settings, orders, None, rates)
        fed = [(self._examples.feed(part.examples.swapaxes(1, 2)), part.rates) for part in parts]
        done = np.moveaxis(self._run(self._epochs, fed, open_axes=2).numpy(), 0, 2)
        return mean_losses([(part.length, *sums) for part, sums in zip(parts, done, strict=True)])

    def _run(self, function: Callable[..., Any], *arguments: Any, open_axes: int = 0) -> Any:
        """Runs a program, which is traced when it first receives arguments of these shapes.

        Args:
          function: the program.
          arguments: arrays, collections of arrays, or None.
          open_axes: number of leading axes, over epochs or steps, whose lengths are left open, so
            that subsets of other sizes need no other program.
        """
        structure = tf.nest.map_structure(lambda _: 0, arguments)
        arrays = tf.nest.flatten(arguments)

        def placed(*flat: Any) -> Any:
            with tf.device(self._device):
                return function(*tf.nest.pack_sequence_as(structure, flat))

        # Neither threads nor programs inherit a device, so each of them names it.
        with tf.device(self._device):
            # Without the Nones, each call would fail in TensorFlow and be made once more.
            tensors = [None if a is None else tf.constant(a) for a in arrays]
            free = (None,) * open_axes
            shapes = [None if a is None else (*free, *a.shape[open_axes:]) for a in arrays]
            key = (function.__name__, *shapes)
            if key not in self._programs:
                with _TRACING:
                    # As in `fit`, AutoGraph converts nothing: it takes longer than all the rest.
                    xla = self._model.jit_compile or None
                    program = tf.function(placed, jit_compile=xla, autograph=False)
                    specs = [None if a is None else tf.TensorSpec(shape, a.dtype)
                             for a, shape in zip(arrays, shapes, strict=True)]  # fmt: skip
                    self._programs[key] = program.get_concrete_function(*specs)
            return self._programs[key](*tensors)

    def _steps(
        self, batches: Any, moves: tf.Tensor | None, rates: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes steps on batches `[steps, stack, batch, ...]`, what `feed` of the examples returns.

        Returns:
          For each model the sum of the losses of the steps that it took, and their number:
          `[stack]`.
        """
        count = tf.shape(rates)[0]

        def body(step: tf.Tensor, losses: tf.Tensor, taken: tf.Tensor) -> Any:
            chosen = None if moves is None else moves[step]
            batch = tf.nest.map_structure(lambda values: values[step], batches)
            step_losses, finite = self._step(batch, chosen, rates[step])
            return step + 1, losses + step_losses, taken + tf.cast(finite, tf.float32)

        none = tf.zeros([self.stack_size])
        start = tf.constant(0), none, none
        _, losses, taken = tf.while_loop(lambda step, *_: step < count, body, start)
        return losses, taken

    def _epochs(self, parts: Any) -> tf.Tensor:
        """Trains for several epochs on batches `[epochs, steps, stack, batch, ...]` and rates.

        Returns:
          What `_steps` returns for each part of each epoch, `[epochs, parts, 2, stack]`.
        """

        def epoch(parts: Any) -> tf.Tensor:
            return tf.stack([self._steps(batches, None, rates) for batches, rates in parts])

        return tf.map_fn(epoch, parts, fn_output_signature=tf.float32)

    def _step(
        self, batch: Any, moves: tf.Tensor | None, rate: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes a step of the optimizer for every model, on a batch `[stack, batch, ...]`.

        Returns:
          The loss of each model, and whether it took the step, `[stack]`.
        """
        shape = tf.nest.flatten(batch)[0].shape[:2]
        examples = tf.nest.map_structure(_joined_axes, batch)
        inputs = self._examples.images(examples)
        if moves is not None:
            pad = self._settings.augmentation.pad
            inputs = move(inputs, tf.reshape(moves, [-1, 3]), pad)

        def of_stack(values: tf.Tensor) -> tf.Tensor:
            every = tf.concat([shape, tf.shape(values)[1:]], axis=0)
            return tf.ensure_shape(tf.reshape(values, every), [*shape, *values.shape[1:]])

        inputs = tf.nest.map_structure(of_stack, self._examples.scaled(inputs))
        targets = of_stack(self._examples.targets(examples))
        values = [[v.read_value() for v in group] for group in (self._weights, self._state)]
        arguments = (*values, inputs, targets)
        if self._loss_scale is None:
            gradients, state, losses = self._mapped(self._gradients, arguments)
            self._move(gradients, state, rate)
            return losses, tf.ones([self.stack_size], tf.bool)
        arguments = (*arguments, tf.convert_to_tensor(self._loss_scale.scales))
        gradients, state, losses, finite = self._mapped(self._scaled_gradients, arguments)
        tf.cond(
            tf.reduce_all(finite),
            lambda: self._move(gradients, state, rate),
            lambda: self._move_some(finite, gradients, state, rate),
        )
        self._loss_scale.update(finite)
        return tf.where(finite, losses, 0), finite

    def _move(
        self, gradients: Sequence[tf.Tensor], state: Sequence[tf.Tensor], rate: tf.Tensor
    ) -> None:
        """Moves all models along their gradients."""
        each = iter(gradients)
        # A variable that some operation still reads would be copied before it is changed.
        with tf.control_dependencies(gradients):
            self._update([next(each) if reached else None for reached in self._reached], rate)
        for variable, value in zip(self._state, state, strict=True):
            variable.assign(value)

    def _move_some(
        self,
        chosen: tf.Tensor,
        gradients: Sequence[tf.Tensor],
        state: Sequence[tf.Tensor],
        rate: tf.Tensor,
    ) -> None:
        """Moves only the models that `chosen`, bool `[stack]`, marks."""
        moved = [*self._weights, *(v for v in self._update.variables if len(v.shape))]
        before = [v.read_value() for v in moved]
        kept = [v.read_value() for v in self._state]
        pairs = zip(state, kept, strict=True)
        state = [tf.where(of_models(chosen, new), new, old) for new, old in pairs]
        gradients = [tf.where(of_models(chosen, g), g, tf.zeros_like(g)) for g in gradients]
        self._move(gradients, state, rate)
        for variable, old in zip(moved, before, strict=True):
            variable.assign(tf.where(of_models(chosen, old), variable.read_value(), old))

    def _scaled_gradients(self, arguments: Any) -> Any:
        """Gradients, new state and loss of one model, and whether all gradients are finite."""
        *others, scale = arguments
        gradients, state, loss = self._gradients(others, scale)
        finite = all_finite(gradients)
        return [gradient / scale for gradient in gradients], state, loss, finite

    def _gradients(self, arguments: Any, scale: tf.Tensor | float = 1.0) -> Any:
        """Gradients times the scale, new state and loss of one model on one batch."""
        weights, state, inputs, targets = arguments
        with tf.GradientTape() as tape:
            tape.watch(weights)
            loss, state = stateless_loss(self._model, weights, state, inputs, targets)
            scaled = self._optimizer.scale_loss(loss) * scale
        gradients = tape.gradient(scaled, weights)
        self._reached = [gradient is not None for gradient in gradients]
        return [tf.convert_to_tensor(g) for g in gradients if g is not None], state, loss

    def _mapped(self, function: Callable[[Any], Any], arguments: Any) -> Any:
        if self.stack_size > 1:
            return tf.vectorized_map(function, arguments)
        alone = tf.nest.map_structure(lambda value: tf.squeeze(value, 0), arguments)
        return tf.nest.map_structure(lambda value: tf.expand_dims(value, 0), function(alone))

    def _predictions(self, examples: Any) -> dict[str, tf.Tensor]:
        """What the task computes of each of some examples, `[stack, examples, ...]` by name."""
        inputs = self._examples.scaled(self._examples.images(examples))
        labels, targets = self._examples.labels(examples), self._examples.targets(examples)

        def one_model(arguments: Any) -> Any:
            weights, state = arguments
            return stateless_outputs(self._model, weights, state, inputs)

        def flat(values: tf.Tensor) -> tf.Tensor:
            joined = tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0))
            return tf.ensure_shape(joined, [None, *values.shape[2:]])

        def of_stack(values: tf.Tensor) -> tf.Tensor:
            rest = tf.shape(values)[1:]
            return tf.reshape(values, tf.concat([[self.stack_size, -1], rest], axis=0))

        def repeated(values: tf.Tensor) -> tf.Tensor:
            return tf.tile(values, [self.stack_size] + [1] * (len(values.shape) - 1))

        values = [[v.read_value() for v in group] for group in (self._weights, self._state)]
        outputs = tf.nest.map_structure(flat, self._mapped(one_model, tuple(values)))
        found = self._task.in_program(repeated(labels), repeated(targets), outputs)
        return tf.nest.map_structure(of_stack, found)

    def predict(self) -> list[TrialOutcome]:
        """See `Machine.predict`."""
        self._update.finish()
        count, n = self._examples.count, self._examples.num_train
        indices = np.arange(count)
        batch = evaluation_batch(output_shape(self._model), self.stack_size)
        parts = [
            self._run(self._predictions, self._examples.feed(indices[start : start + batch]))
            for start in range(0, count, batch)
        ]
        found = joined(parts, axis=1)
        targets = self._examples.all_targets
        models = [
            self._task.on_host(targets, {name: values[model] for name, values in found.items()})
            for model in range(self.stack_size)
        ]
        return [TrialOutcome(scores[:n], scores[n:]) for scores in models]

    def probabilities(self) -> np.ndarray:
        """Probabilities of all classes for the training examples, `[stack, num_train, classes]`."""
        indices, feed = np.arange(self._examples.num_train), self._examples.feed
        parts = [
            self._run(self._softmax, feed(indices[start : start + EVALUATION_BATCH])).numpy()
            for start in range(0, len(indices), EVALUATION_BATCH)
        ]
        return np.concatenate(parts, axis=1)

    def _softmax(self, examples: Any) -> tf.Tensor:
        images = self._examples.scaled(self._examples.images(examples))

        def one_model(arguments: Any) -> tf.Tensor:
            weights, state = arguments
            outputs = stateless_outputs(self._model, weights, state, images)
            return _probabilities(tf.cast(outputs, tf.float32), output_kind(self._model))

        values = [[v.read_value() for v in group] for group in (self._weights, self._state)]
        return self._mapped(one_model, tuple(values))


def _joined_axes(values: tf.Tensor) -> tf.Tensor:
    """`[stack, batch, ...]` as `[stack * batch, ...]`."""
    return tf.reshape(values, tf.concat([[-1], tf.shape(values)[2:]], axis=0))


def _probabilities(outputs: tf.Tensor, kind: OutputKind) -> tf.Tensor:
    """Probabilities `[batch, classes]` of a model's outputs, which may be one for two classes."""
    if len(outputs.shape) > 1 and outputs.shape[-1] > 1:
        return outputs if kind == "probabilities" else tf.nn.softmax(outputs)
    one = tf.reshape(outputs, [-1])
    one = one if kind == "probabilities" else tf.sigmoid(one)
    return tf.stack([1 - one, one], axis=1)
