"""Many small models trained together in one TensorFlow program.

`tf.vectorized_map` turns the forward and backward pass of any Keras model into one over a stack of
models, each with its own variables and its own batch. The data stay on the device, and the loop
over the steps of an epoch runs inside a `tf.function`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset
from tfmem.subsets import Trial, subset_size
from tfmem.training.initialization import VariableInitializer
from tfmem.training.outcome import Outcome, diverged, read_predictions
from tfmem.training.schedules import learning_rates

_EVALUATION_BATCH = 512
_WORKING_SET = 96 << 20  # bytes; larger stacks gain nothing on CPUs, whose caches they overflow
_LARGEST_STACK = 128
_SCALED_AT_ONCE = 256 << 20  # bytes; larger data sets are scaled batch by batch


def choose_stack_size(model: keras.Model, settings: TrainingSettings) -> int:
    """How many models to train together: as many as a working set of 96 MB holds, 1 to 128.

    The set is a quarter of the free memory where that is less. A model counts its variables four
    times (value, velocity, gradient, update) and its activations for one batch three times.
    """
    variables = sum(int(np.prod(v.shape)) for v in model.variables)
    activations = sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    bytes_per_model = 4 * (4 * variables + 3 * settings.batch_size * activations)
    budget = min(_WORKING_SET, psutil.virtual_memory().available // 4)
    largest = max(1, min(_LARGEST_STACK, budget // bytes_per_model))
    stacks = -(-settings.trials // largest)
    return -(-settings.trials // stacks)  # equal stacks, so that the last one wastes little


class StackedTrainer:
    """Trains `stack_size` models at a time (see `tfmem.training.outcome.Trainer`)."""

    def __init__(
        self, model: keras.Model, dataset: Dataset, settings: TrainingSettings, stack_size: int
    ) -> None:
        """Puts the data on the device and prepares the program.

        Args:
          model: the model to train; its own variables are not used.
          dataset: examples.
          settings: subset fraction, optimizer, schedule.
          stack_size: models trained together.
        """
        self.stack_size = stack_size
        self._model = model
        self._settings = settings
        self._initializer = VariableInitializer(model)
        self._num_train = len(dataset.train_labels)
        self._size = subset_size(self._num_train, settings.fraction)
        self._batch = min(settings.batch_size, self._size)
        self._steps = -(-self._size // self._batch)
        self._rates = learning_rates(settings, settings.epochs * self._steps)
        images = np.concatenate([dataset.train_images, dataset.test_images])
        if 4 * images.size <= _SCALED_AT_ONCE:
            images = images.astype(np.float32) / dataset.white
        self._images = tf.constant(images)
        self._labels = tf.constant(
            np.concatenate([dataset.train_labels, dataset.test_labels]), tf.int32
        )
        self._white = dataset.white
        self._weights = self._stacked(model.trainable_variables)
        self._velocity = self._stacked(model.trainable_variables)
        self._state = self._stacked(model.non_trainable_variables)
        self._epoch_program = tf.function(self._epoch)
        self._predict_program = tf.function(self._predict)

    def _stacked(self, variables: list[keras.Variable]) -> list[tf.Variable]:
        return [
            tf.Variable(tf.zeros((self.stack_size, *v.shape), v.dtype), trainable=False)
            for v in variables
        ]

    def train(self, trials: Sequence[Trial], on_epoch: Callable[[], None]) -> list[Outcome]:
        """Trains one stack; see `Trainer.train`."""
        drawn = zip(*(self._initializer(trial) for trial in trials), strict=True)
        for variable, values in zip([*self._weights, *self._state], drawn, strict=True):
            variable.assign(np.stack(values))
        for variable in self._velocity:
            variable.assign(tf.zeros_like(variable))
        subsets = [trial.subset(self._num_train, self._size) for trial in trials]
        for epoch in range(self._settings.epochs):
            orders = zip(trials, subsets, strict=True)
            order = np.stack([trial.epoch_order(subset, epoch) for trial, subset in orders])
            rates = self._rates[epoch * self._steps : (epoch + 1) * self._steps]
            loss = self._epoch_program(tf.constant(order, tf.int32), tf.constant(rates)).numpy()
            if not np.isfinite(loss).all():
                lost = trials[int(np.argmin(np.isfinite(loss)))]
                raise diverged(lost, epoch, self._settings)
            on_epoch()
        return self._outcomes()

    def _epoch(self, order: tf.Tensor, rates: tf.Tensor) -> tf.Tensor:
        """One pass over the subsets, `order` int32 `[stack, m]`; the last batch may be smaller.

        Returns the losses of the last batch, float32 `[stack]`.
        """
        full = self._size // self._batch
        batches = tf.reshape(order[:, : full * self._batch], [-1, full, self._batch])
        loss = tf.zeros([self.stack_size])
        for step in tf.range(full):
            loss = self._step(batches[:, step], rates[step])
        if self._size % self._batch:
            loss = self._step(order[:, full * self._batch :], rates[full])
        return loss

    def _step(self, batch: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
        """One step of SGD with momentum for every model, `batch` int32 `[stack, batch]`."""

        def one_model(arguments: Any) -> Any:
            weights, state, indices = arguments
            with tf.GradientTape() as tape:
                tape.watch(weights)
                logits, state = self._model.stateless_call(
                    weights, state, self._inputs(indices), training=True
                )
                loss = tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(
                        labels=tf.gather(self._labels, indices), logits=logits
                    )
                )
            return tape.gradient(loss, weights), state, loss

        values = [[v.read_value() for v in group] for group in (self._weights, self._state)]
        gradients, state, loss = tf.vectorized_map(one_model, (*values, batch))
        for weight, velocity, gradient in zip(
            self._weights, self._velocity, gradients, strict=True
        ):
            # Keras' form of momentum, in one pass over memory: for wide layers half of the cost of
            # a step would else be reading and writing weights.
            tf.raw_ops.ResourceApplyKerasMomentum(
                var=weight.handle,
                accum=velocity.handle,
                lr=rate,
                grad=gradient,
                momentum=self._settings.momentum,
            )
        for variable, value in zip(self._state, state, strict=True):
            variable.assign(value)
        return loss

    def _inputs(self, indices: tf.Tensor) -> tf.Tensor:
        images = tf.gather(self._images, indices)
        if images.dtype == tf.float32:
            return images
        return tf.cast(images, tf.float32) / self._white

    def _predict(self, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Correctness and probability of the true label, `[stack, len(indices)]`."""
        images, labels = self._inputs(indices), tf.gather(self._labels, indices)

        def one_model(arguments: Any) -> Any:
            logits, _ = self._model.stateless_call(*arguments, images, training=False)
            return read_predictions(logits, labels)

        values = [[v.read_value() for v in group] for group in (self._weights, self._state)]
        return tf.vectorized_map(one_model, tuple(values))

    def _outcomes(self) -> list[Outcome]:
        count = len(self._labels)
        parts = [
            self._predict_program(tf.range(start, min(start + _EVALUATION_BATCH, count)))
            for start in range(0, count, _EVALUATION_BATCH)
        ]
        correct, probability = (np.concatenate(part, axis=1) for part in zip(*parts, strict=True))
        n = self._num_train
        return [
            Outcome(c[:n], c[n:], p[:n], p[n:]) for c, p in zip(correct, probability, strict=True)
        ]
