"""One model at a time, over all devices of a `tf.distribute.MirroredStrategy`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset
from tfmem.subsets import Trial, subset_size
from tfmem.training.initialization import VariableInitializer
from tfmem.training.outcome import Outcome, diverged, read_predictions
from tfmem.training.schedules import learning_rates

_EVALUATION_BATCH = 512


class MirroredTrainer:
    """Trains one model, each batch split over the replicas (see `outcome.Trainer`).

    The loss of a batch is the mean over its examples, however many replicas share them: gradients
    are summed over replicas after each has divided by the size of the whole batch.
    """

    stack_size = 1

    def __init__(
        self,
        build_model: Callable[[], keras.Model],
        dataset: Dataset,
        settings: TrainingSettings,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        """Builds the model on all replicas.

        Args:
          build_model: makes the model; called once, in the strategy's scope.
          dataset: examples.
          settings: subset fraction, optimizer, schedule.
          strategy: None is `MirroredStrategy` over all GPUs, or over the CPU where there is none.
        """
        self._strategy = strategy or tf.distribute.MirroredStrategy()
        self._settings = settings
        self._dataset = dataset
        self._size = subset_size(len(dataset.train_labels), settings.fraction)
        self._batch = min(settings.batch_size, self._size)
        self._steps = -(-self._size // self._batch)
        self._rates = learning_rates(settings, settings.epochs * self._steps)
        with self._strategy.scope():
            self._model = build_model()
            self._optimizer = keras.optimizers.SGD(0.0, momentum=settings.momentum)
            self._optimizer.build(self._model.trainable_variables)
        self._initializer = VariableInitializer(self._model)
        self._step_program = tf.function(self._step, reduce_retracing=True)
        self._predict_program = tf.function(self._predict, reduce_retracing=True)

    def train(self, trials: Sequence[Trial], on_epoch: Callable[[], None]) -> list[Outcome]:
        """Trains one trial; see `Trainer.train`."""
        (trial,) = trials
        variables = [*self._model.trainable_variables, *self._model.non_trainable_variables]
        for variable, value in zip(variables, self._initializer(trial), strict=True):
            variable.assign(value)
        for variable in self._optimizer.variables:
            variable.assign(np.zeros(variable.shape, variable.dtype))
        subset = trial.subset(len(self._dataset.train_labels), self._size)
        step = 0
        for epoch in range(self._settings.epochs):
            order = trial.epoch_order(subset, epoch)
            for batch in np.split(order, range(self._batch, self._size, self._batch)):
                self._optimizer.learning_rate.assign(self._rates[step])
                loss = self._step_program(
                    self._shares(self._dataset.train_images[batch]),
                    self._shares(self._dataset.train_labels[batch].astype(np.int32)),
                    len(batch),
                )
                step += 1
            if not np.isfinite(loss):
                raise diverged(trial, epoch, self._settings)
            on_epoch()
        data = self._dataset
        train_correct, train_prob = self._evaluate(data.train_images, data.train_labels)
        test_correct, test_prob = self._evaluate(data.test_images, data.test_labels)
        return [Outcome(train_correct, test_correct, train_prob, test_prob)]

    def _shares(self, batch: np.ndarray) -> tf.Tensor:
        """A batch as one share for each replica, the first ones larger by one where it must be."""
        replicas = self._strategy.num_replicas_in_sync
        shares = np.array_split(batch, replicas)
        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )

    @tf.autograph.experimental.do_not_convert
    def _step(self, images: tf.Tensor, labels: tf.Tensor, batch_size: int) -> tf.Tensor:
        def replica_step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as tape:
                logits = self._model(self._scaled(images), training=True)
                losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                    labels=labels, logits=logits
                )
                loss = tf.reduce_sum(losses) / batch_size
            weights = self._model.trainable_variables
            self._optimizer.apply(tape.gradient(loss, [w.value for w in weights]), weights)
            return loss

        per_replica = self._strategy.run(replica_step, (images, labels))
        return self._strategy.reduce("SUM", per_replica, axis=None)

    def _scaled(self, images: tf.Tensor) -> tf.Tensor:
        return tf.cast(images, tf.float32) / self._dataset.white

    def _predict(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return read_predictions(self._model(self._scaled(images), training=False), labels)

    def _evaluate(self, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        starts = range(0, len(labels), _EVALUATION_BATCH)
        parts = [
            self._predict_program(
                tf.constant(images[i : i + _EVALUATION_BATCH]),
                tf.constant(labels[i : i + _EVALUATION_BATCH], tf.int32),
            )
            for i in starts
        ]
        correct, probability = zip(*parts, strict=True)
        return np.concatenate(correct), np.concatenate(probability)
