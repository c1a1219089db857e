"""Scores of training examples by derivatives by their inputs, and by what retraining changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.messages.errors import InputError
from tfmem.training.dynamics import Probe, clock

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

GRADIENT, CURVATURE, RETRAINING = "input_gradient", "input_curvature", "retraining"
EPOCHS = 5  # spread evenly, after which derivatives are taken
DIRECTIONS = 10  # random ones, in which curvature is taken, as in the paper's code
_STEP = 1e-3  # along them, likewise
_RATE = 0.1  # of the learning rate, with which models are retrained
_SHARE = 0.1  # of the epochs, for which they are
_BATCH = 256


class InputProbe:
    """Scores of one model by its loss around inputs, and by how retraining changes it; see `Probe`.

    After each of some epochs: `input_gradient E`, the length of the gradient of an example's cross
    entropy by its input (Ravikumar et al. 2026), and `input_curvature E`, the mean length of the
    difference of that gradient along `DIRECTIONS` random directions of signs, 0.001 away (Garg et
    al. 2024, and Ravikumar et al. 2024); float64 `[num_train]`, NaN where inputs are no numbers
    that a gradient could be taken by, such as tokens. After the last epoch: `retraining`, the
    symmetric Kullback-Leibler divergence of the predictions before and after the model is trained
    on the test examples alone (Carlini, Erlingsson & Papernot 2019, "holdout retraining"), NaN
    without test examples. `…_seconds` is the time that each took, without the tracing of programs.
    """

    def __init__(self, config: Config, dataset: AnyDataset) -> None:
        """Takes the settings and the data that models are trained with.

        Args:
          config: model and recipe.
          dataset: the examples, in memory.

        Raises:
          InputError: if the data set is streamed.
        """
        data = as_arrays(config, dataset)
        if isinstance(data, StreamedDataset):
            raise InputError("dataset.image_size: gradients need a data set in memory")
        self._config, self._dataset = config, data
        epochs = config.training.epochs
        places = np.linspace(0, epochs - 1, min(EPOCHS, epochs) + 1)[1:] if epochs > 1 else [0]
        self.epochs: tuple[int, ...] = tuple(sorted({round(place) for place in places}))
        self.name = f"inputs {self.epochs} {DIRECTIONS} {_STEP} {_RATE} {_SHARE}"

    def __call__(self, epoch: int, values: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Probe`."""
        from tfmem.training.trainers import model_in_float32

        data = self._dataset
        model = model_in_float32(self._config, data)
        variables = [*model.trainable_variables, *model.non_trainable_variables]
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        loss = _Loss(model)
        inputs, labels = self._scaled(data.train_images), data.train_labels
        rng = np.random.default_rng((self._config.seed, epoch))
        now, said = clock(), dict[str, np.ndarray]()

        def timed(name: str, found: np.ndarray, start: float) -> None:
            said[name] = found
            said[f"{name}_seconds"] = np.array(now() - start)

        loss.gradients(inputs[:2], labels[:2])  # traces the program
        start = now()
        first = loss.gradients(inputs, labels)
        timed(f"{GRADIENT} {epoch}", _lengths(first), start)
        start = now()
        curvature = np.zeros(len(labels))
        for _ in range(DIRECTIONS):
            signs = rng.integers(0, 2, inputs.shape, np.int8) * 2 - 1
            moved = inputs + np.float32(_STEP) * signs.astype(np.float32)
            curvature += _lengths(loss.gradients(moved, labels) - first)
        timed(f"{CURVATURE} {epoch}", curvature / DIRECTIONS, start)
        if epoch == self.epochs[-1]:
            loss.step(inputs[:2], labels[:2], 0.0)
            start = now()
            timed(RETRAINING, self._retrained(loss, inputs, rng), start)
        return said

    def _scaled(self, images: np.ndarray) -> np.ndarray:
        return images.astype(np.float32) / np.float32(self._dataset.white)

    def _retrained(self, loss: _Loss, inputs: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The divergence of predictions for `inputs` before and after training on test examples."""
        data, training = self._dataset, self._config.training
        if not len(data.test_labels):
            return np.full(len(inputs), np.nan)
        before, held_out = loss.log_probabilities(inputs), self._scaled(data.test_images)
        for _ in range(retraining_epochs(training.epochs)):
            order = rng.permutation(len(held_out))
            for start in range(0, len(order), training.batch_size):
                rows = order[start : start + training.batch_size]
                rate = _RATE * training.learning_rate
                loss.step(held_out[rows], data.test_labels[rows], rate)
        after = loss.log_probabilities(inputs)
        divergence: np.ndarray = ((np.exp(before) - np.exp(after)) * (before - after)).sum(axis=1)
        return divergence


class Together:
    """Several probes as one; see `Probe`."""

    def __init__(self, *probes: Probe) -> None:
        """Takes probes whose scores have different names."""
        self._probes = probes
        self.epochs = tuple(sorted({epoch for probe in probes for epoch in probe.epochs}))
        self.name = ", ".join(probe.name for probe in probes)

    def __call__(self, epoch: int, values: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """See `Probe`."""
        said: dict[str, np.ndarray] = {}
        for probe in self._probes:
            if epoch in probe.epochs:
                said.update(probe(epoch, values))
        return said


def retraining_epochs(epochs: int) -> int:
    """For how many epochs a model that was trained for `epochs` is retrained."""
    return max(1, round(_SHARE * epochs))


def mean_over_epochs(probed: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The mean of a score over the epochs that it was taken after, float64 `[models, num_train]`.

    Args:
      probed: results of an `InputProbe`.
      name: `GRADIENT` or `CURVATURE`.
    """
    taken = [each for key, each in probed.items() if key.rsplit(" ", 1)[0] == name
             and not key.endswith("_seconds")]  # fmt: skip
    return np.mean(taken, axis=0)


def seconds_of(probed: Mapping[str, np.ndarray], name: str) -> float:
    """The median over models of the seconds that a score took, over all its epochs."""
    taken = [each for key, each in probed.items() if key.startswith(name)
             and key.endswith("_seconds")]  # fmt: skip
    return float(np.median(np.sum(taken, axis=0)))


class _Loss:
    """The cross entropy of a model, with `training=False`, and its derivatives."""

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        from tfmem.models.logits import final_softmax, without_softmax
        from tfmem.models.outputs import output_kind

        self._of_probabilities = (
            final_softmax(model) is None and output_kind(model) == "probabilities"
        )
        self._model = without_softmax(model)
        self._variables = [variable.value for variable in model.trainable_variables]
        self._gradient = tf.function(self._gradient_by_inputs, reduce_retracing=True)
        self._step = tf.function(self._descend, reduce_retracing=True)
        self._logits = tf.function(self._forward, reduce_retracing=True)

    def gradients(self, inputs: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Gradients by inputs, float32 of their shape; NaN where there are none."""
        import tensorflow as tf

        parts = [
            self._gradient(tf.constant(inputs[rows]), tf.constant(labels[rows])).numpy()
            for rows in _parts(len(inputs))
        ]
        return np.concatenate(parts)

    def log_probabilities(self, inputs: np.ndarray) -> np.ndarray:
        """Logarithms of the probabilities of all classes, float64 `[count, classes]`."""
        import tensorflow as tf

        logits = np.concatenate(
            [self._logits(tf.constant(inputs[rows])).numpy() for rows in _parts(len(inputs))]
        ).astype(np.float64)
        logits -= logits.max(axis=1, keepdims=True)
        found: np.ndarray = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        return found

    def step(self, inputs: np.ndarray, labels: np.ndarray, rate: float) -> None:
        """A step of gradient descent on the mean loss of a batch."""
        import tensorflow as tf

        self._step(tf.constant(inputs), tf.constant(labels), tf.constant(rate, tf.float32))

    def _forward(self, inputs: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        outputs = self._model(inputs, training=False)
        return tf.math.log(tf.maximum(outputs, 1e-37)) if self._of_probabilities else outputs

    def _of(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        logits = self._forward(inputs)
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)

    def _gradient_by_inputs(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(inputs)
            loss = tf.reduce_sum(self._of(inputs, labels))
        found = tape.gradient(loss, inputs)
        return tf.fill(tf.shape(inputs), np.float32(np.nan)) if found is None else found

    def _descend(self, inputs: tf.Tensor, labels: tf.Tensor, rate: tf.Tensor) -> None:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self._of(inputs, labels))
        for variable, found in zip(
            self._variables, tape.gradient(loss, self._variables), strict=True
        ):
            if found is not None:
                variable.assign_sub(rate * tf.convert_to_tensor(found))


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _BATCH) for start in range(0, count, _BATCH)]


def _lengths(gradients: np.ndarray) -> np.ndarray:
    flat = gradients.reshape(len(gradients), -1).astype(np.float64)
    found: np.ndarray = np.sqrt(np.square(flat).sum(axis=1))
    return found
