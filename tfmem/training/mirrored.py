"""Trains one model at a time, over all devices of a `tf.distribute.MirroredStrategy`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset, StreamedDataset, StructuredDataset
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.tasks import Scores, Task
from tfmem.tasks.classes import LOGITS
from tfmem.training.augmentation import draw_boxes, draw_moves
from tfmem.training.epochs import (
    EVALUATION_BATCH,
    joined,
    out_of_memory,
    train_epochs,
)
from tfmem.training.hosted import placed_examples
from tfmem.training.initialization import Initializer, VariableInitializer
from tfmem.training.loss_scale import LossScale, all_finite
from tfmem.training.losses import call, counted_outputs, loss_of, why_no_replicas
from tfmem.training.moving import move
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.schedules import rates_of, take_schedule
from tfmem.training.streams import StreamedExamples
from tfmem.training.updates import inner_optimizer


class MirroredTrainer:
    """Trains one model, each batch split over the replicas (see `outcome.Trainer`).

    The loss of a batch is the mean over its examples, however many replicas share them: each
    replica divides its gradients by the size of the whole batch, and then they are summed. Batch
    normalization takes the statistics of a replica's share (as Feldman & Zhang 2020 do).
    """

    stack_size = 1

    def __init__(
        self,
        build_model: Callable[[], keras.Model],
        dataset: Dataset | StructuredDataset | StreamedDataset,
        settings: TrainingSettings,
        strategy: tf.distribute.Strategy | None = None,
        task: Task = LOGITS,
        initializer: Initializer | None = None,
    ) -> None:
        """Builds the model on all replicas.

        Args:
          build_model: makes the compiled model; called once, in the strategy's scope.
          dataset: the examples; those in memory are copied to every replica if they are small.
          settings: epochs, batch size, augmentation.
          strategy: None is `MirroredStrategy` over all GPUs, or over the CPU if there is no GPU.
          task: how examples are scored.
          initializer: draws the variables of a trial; None runs the layers' own initializers.

        Raises:
          InputError: if the model cannot be drawn anew for each trial; or, over several devices,
            if XLA is asked for or the loss is no mean over examples.
        """
        gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
        self._strategy = strategy or tf.distribute.MirroredStrategy(gpus or ["CPU:0"])
        self._replicas = self._strategy.num_replicas_in_sync
        if settings.xla and self._replicas > 1:
            raise InputError(
                f"training.xla: expected false with trainer: mirrored over {self._replicas} "
                "devices, received true"
            )
        self._settings = settings
        self._task = task
        self._loss_scale = None
        with self._strategy.scope():
            self.model = build_model()
            if self._replicas > 1 and (why := why_no_replicas(self.model)):
                raise InputError(
                    f"training.trainer: 'mirrored' over {self._replicas} devices cannot train this "
                    f"model: {why}"
                )
            self._optimizer = inner_optimizer(self.model)
            if self._optimizer is not self.model.optimizer:
                self._loss_scale = LossScale(1, self.model.optimizer)
            self._schedule = take_schedule(self._optimizer)
            if not self._optimizer.built:
                self._optimizer.build(self.model.trainable_variables)
            if isinstance(dataset, StreamedDataset):
                self._examples: Any = StreamedExamples(dataset)
            else:
                self._examples = placed_examples(dataset, settings, self.model.jit_compile)
        self._num_train = len(dataset.train_labels)
        self._targets = getattr(self._examples, "all_targets", None)
        self.initializer = initializer or VariableInitializer(self.model)
        weights = [*self.model.trainable_variables, *self.model.non_trainable_variables]
        self._num_weights = len(weights)
        slots = [v for v in self._optimizer.variables if v is not self._optimizer.learning_rate]
        self._first = [slot.numpy() for slot in slots]
        self._first_step = int(self._optimizer._iterations.numpy())
        self.variables = [variable.value for variable in (*weights, *slots)]
        self._num_moved = len(self.variables)
        if self._loss_scale:
            self.variables += self._loss_scale.variables
        compiled = {"reduce_retracing": True, "jit_compile": self.model.jit_compile or None}
        self._step_program = tf.function(self._step, **compiled)
        self._predict_program = tf.function(self._predictions, **compiled)

    def rates(self, steps: int) -> np.ndarray:
        """See `Machine.rates`."""
        return rates_of(self._schedule, steps, self._first_step)

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains one trial; see `Trainer.train`."""
        try:
            return train_epochs(self, self._settings, trials, subsets, watch(trials))
        except tf.errors.ResourceExhaustedError:
            raise out_of_memory(self._settings) from None

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """See `Machine.assign`."""
        for variable, value in zip(self.variables, values, strict=False):
            variable.assign(value[0])
        slots = self.variables[self._num_weights : self._num_moved]
        for variable, first in zip(slots, self._first, strict=True):
            variable.assign(first)
        if self._loss_scale:
            self._loss_scale.reset()

    def run_epoch(
        self, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
    ) -> np.ndarray:
        """One pass over the subset; the last batch may be smaller (see `Machine.run_epoch`)."""
        (order,) = orders
        draw = None if draws is None else draws[0]
        moves = draw_moves(draw, self._settings.augmentation)
        boxes = draw_boxes(draw, self._settings.augmentation)
        total, examples = tf.constant(0.0), tf.constant(0.0)
        start = 0
        batches = self._examples.batches(order, self._settings.batch_size, boxes)
        for (images, labels), rate in zip(batches, rates, strict=True):
            count = len(labels)
            # If a batch is too small to be shared, every replica takes the whole batch.
            seen = count if count >= self._replicas else count * self._replicas
            self._optimizer.learning_rate.assign(rate)
            chosen = None if moves is None else self._shares(moves[start : start + count])
            shares = self._shares(images), self._shares(labels)
            loss, taken = self._step_program(*shares, chosen, np.float32(seen))
            total += count * loss
            examples += count * taken
            start += count
        self._average_state()
        return np.array([total / examples])

    def _average_state(self) -> None:
        """Sets the moving statistics of all replicas to their mean."""
        if self._replicas == 1:
            return
        for variable in self.model.non_trainable_variables:
            if variable.dtype.startswith("float"):
                shares = self._strategy.experimental_local_results(variable.value)
                variable.assign(np.mean([share.numpy() for share in shares], axis=0))

    def _shares(self, batch: Any) -> Any:
        """Splits a batch into one share for each replica; the first shares may be larger by one.

        Args:
          batch: an array `[batch, ...]`, or a collection of them.
        """

        def share(values: np.ndarray, replica: int) -> tf.Tensor:
            if len(values) < self._replicas:
                return tf.constant(values)
            return tf.constant(np.array_split(values, self._replicas)[replica])

        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.nest.map_structure(
                lambda values: share(values, context.replica_id_in_sync_group), batch
            )
        )

    @tf.autograph.experimental.do_not_convert
    def _step(
        self, batch: Any, labels: Any, moves: Any, seen: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Takes one step on `seen` examples in all.

        Returns:
          The loss, and 1 if the step was taken; 0 and 0 if gradients of a replica overflowed.
        """
        run, shares = self._strategy.run, (batch, labels, moves)
        if self._loss_scale is None:

            def replica_step(batch: tf.Tensor, labels: tf.Tensor, moves: Any) -> tf.Tensor:
                loss, gradients = self._gradients(batch, labels, moves, seen, 1.0)
                self._apply(gradients)
                return loss

            return self._strategy.reduce("SUM", run(replica_step, shares), axis=None), tf.ones([])
        scale = tf.convert_to_tensor(self._loss_scale.scales)[0]

        def replica_gradients(batch: tf.Tensor, labels: tf.Tensor, moves: Any) -> Any:
            state = [tf.identity(v.value) for v in self.model.non_trainable_variables]
            loss, gradients = self._gradients(batch, labels, moves, seen, scale)
            overflown = 1.0 - tf.cast(all_finite(gradients), tf.float32)
            return loss, overflown, [g / scale for g in gradients], state

        losses, overflown, gradients, state = run(replica_gradients, shares)
        # Replicas wait for each other within the optimizer, so all of them must enter it or none.
        finite = self._strategy.reduce("SUM", overflown, axis=None) == 0
        tf.cond(
            finite,
            lambda: run(self._apply, (gradients,)),
            lambda: run(self._restore, (state,)),
        )
        self._loss_scale.update(finite[None])
        loss = self._strategy.reduce("SUM", losses, axis=None)
        return tf.where(finite, loss, 0), tf.cast(finite, tf.float32)

    def _gradients(
        self,
        batch: tf.Tensor,
        labels: tf.Tensor,
        moves: tf.Tensor | None,
        seen: tf.Tensor,
        scale: tf.Tensor | float,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """The part of a replica's share in the mean loss, and its gradients times the scale."""
        inputs = self._examples.images(batch)
        if moves is not None:
            inputs = move(inputs, moves, self._settings.augmentation.pad)
        targets = self._examples.targets(batch, labels)
        # Keras divides the losses of replicas by their number, as if all had equal shares.
        share = self._replicas * tf.cast(tf.shape(labels)[0], tf.float32) / seen
        with tf.GradientTape() as tape:
            loss = self._loss(self._examples.scaled(inputs), targets, share)
            scaled = self._optimizer.scale_loss(loss) * scale
        weights = [weight.value for weight in self.model.trainable_variables]
        gradients = tape.gradient(scaled, weights)
        self._reached = [gradient is not None for gradient in gradients]
        return loss, [gradient for gradient in gradients if gradient is not None]

    def _loss(self, inputs: Any, targets: Any, share: tf.Tensor) -> tf.Tensor:
        """The part of a replica's examples in the loss of the batch, times the replicas.

        Args:
          inputs: the replica's examples.
          targets: their targets.
          share: the share of its examples in the batch, times the replicas.
        """
        outputs = call(self.model, inputs, training=True)
        loss = loss_of(self.model, inputs, targets, outputs)
        counted = None
        if self._replicas > 1:
            counted = counted_outputs(self.model, targets, outputs)
        if counted is None:
            return share * loss
        # What layers and regularizers add is no mean over tokens. It is read before replicas meet,
        # because a model holds only the losses of the replica that has called it last.
        added = sum(tf.reduce_sum(tf.cast(each, loss.dtype)) for each in self.model.losses)
        added /= self._replicas  # as Keras does
        every = tf.distribute.get_replica_context().all_reduce("SUM", counted)
        of_tokens = tf.math.divide_no_nan(self._replicas * counted, every)
        return of_tokens * (loss - added) + share * added

    def _apply(self, gradients: Sequence[tf.Tensor]) -> None:
        """Moves the model along the sum of all replicas' gradients."""
        each = iter(gradients)
        every = [next(each) if reached else None for reached in self._reached]
        self._optimizer.apply(every)

    def _restore(self, state: Sequence[tf.Tensor]) -> None:
        """Undoes the changes of a skipped step to moving statistics."""
        for variable, value in zip(self.model.non_trainable_variables, state):  # noqa: B905
            variable.assign(value)

    @tf.autograph.experimental.do_not_convert
    def _predictions(self, batch: Any, labels: Any) -> Any:
        def replica_predictions(batch: tf.Tensor, labels: tf.Tensor) -> Any:
            images = self._examples.scaled(self._examples.images(batch))
            outputs = call(self.model, images, training=False)
            targets = self._examples.targets(batch, labels)
            return self._task.in_program(labels, targets, outputs)

        return self._strategy.run(replica_predictions, (batch, labels))

    def predict(self) -> list[TrialOutcome]:
        """See `Machine.predict`."""
        self._optimizer.finalize_variable_values(self.model.trainable_variables)
        return [TrialOutcome(self._scores(test=False), self._scores(test=True))]

    def _scores(self, test: bool) -> Scores:
        parts, labels = [], []
        first, end = (self._num_train, None) if test else (0, self._num_train)
        for images, batch in self._examples.in_order(test, self._evaluation_batch):
            found = self._predict_program(self._shares(images), self._shares(batch))
            parts.append(
                {name: self._joined(values)[: len(batch)] for name, values in found.items()}
            )
            labels.append(batch)
        if not parts:
            return Scores(np.zeros(0, bool), np.zeros(0, np.float32))
        targets = self._targets[first:end] if self._targets is not None else np.concatenate(labels)
        return self._task.on_host(targets, joined(parts))

    def activations(self, layer: str, test: bool) -> Iterator[np.ndarray]:
        """Yields the outputs of a layer for a split in index order, float32 `[batch, ...]`."""
        outputs = keras.Model(self.model.inputs, self.model.get_layer(layer).output)

        def replica_outputs(batch: tf.Tensor) -> tf.Tensor:
            images = self._examples.scaled(self._examples.images(batch))
            return tf.cast(outputs(images, training=False), tf.float32)

        program = tf.function(lambda batch: self._strategy.run(replica_outputs, (batch,)))
        for images, labels in self._examples.in_order(test, self._evaluation_batch):
            yield self._joined(program(self._shares(images)))[: len(labels)]

    @property
    def _evaluation_batch(self) -> int:
        return EVALUATION_BATCH * self._replicas

    def _joined(self, shares: Any) -> np.ndarray:
        return np.concatenate(self._strategy.experimental_local_results(shares))
