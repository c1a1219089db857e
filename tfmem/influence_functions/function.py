"""The logits of a model as a function of the variables that were trained, and its derivatives.

Everything is evaluated with `training=False`, and any number of examples, or vectors, at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmem.influence_functions.tracing import safe_derivatives
from tfmem.messages.errors import InputError
from tfmem.models.logits import final_softmax, without_softmax
from tfmem.models.outputs import output_kind

_LEAST = 1e-37  # least probability: below it, float32 has no normal numbers


class LogitFunction:
    """Programs of a model at the values that its trained variables have.

    Vectors are in the space of these variables: flattened and concatenated in order, `p` numbers.

    Attributes:
      values: the values of the trained variables, tensors.
      num_parameters: `p`.
      num_classes: number of logits.
      dtype: type of vectors.
      logits: program that returns the logits of inputs, `[b, classes]`.
      rows: program that takes inputs and cotangents `[b, classes]`, and returns the gradient of
        `cotangents[i] @ logits[i]` for each example, `[b, p]`.
      products: programs that take inputs, classes `[b]` and vectors `[k, p]`, and return the
        `hessian`, or the `gauss_newton` matrix, of the sum of cross entropies times each vector:
        `[k, p]`.
    """

    def __init__(
        self, model: keras.Model, variables: Sequence[keras.Variable], examples: Any
    ) -> None:
        """Takes a trained model.

        Args:
          model: returns logits `[batch, classes]`, or probabilities if its last layer or the
            `from_logits` of its loss shows that (see `tfmem.models.outputs`); or, of two classes,
            the log odds or the probability of the second; it is left as it is.
          variables: the variables that were trained, all of one type.
          examples: a `tf.TensorSpec` for each of its inputs, of any number of examples.

        Raises:
          InputError: if there are no variables.
        """
        if not variables:
            raise InputError("variables: expected at least one that was trained, received none")
        self._model, self._variables = without_softmax(model), list(variables)
        hidden = final_softmax(model) is None and output_kind(model) == "probabilities"
        self._of_probabilities = hidden  # logits are the logarithms of these, as in Keras' losses
        self._shapes = [tuple(v.shape) for v in self._variables]
        self._sizes = [int(np.prod(shape)) for shape in self._shapes]
        self.num_parameters = sum(self._sizes)
        self.dtype = np.dtype(self._variables[0].dtype)
        self.values = [tf.convert_to_tensor(v.value) for v in self._variables]
        self.logits = tf.function(self._logits, [examples])
        # A subclassed model does not know the shape of its outputs.
        self.num_classes = int(self.logits.get_concrete_function().structured_outputs.shape[-1])
        cotangents = tf.TensorSpec([None, self.num_classes], self.dtype)
        classes = tf.TensorSpec([None], tf.int32)
        vectors = tf.TensorSpec([None, self.num_parameters], self.dtype)
        self.rows = tf.function(self._rows, [examples, cotangents])
        self.products = {
            "hessian": tf.function(self._hessian_product, [examples, classes, vectors]),
            "gauss_newton": tf.function(self._gauss_newton_product, [examples, classes, vectors]),
        }

    def diagonal(self, of_kernels: float) -> np.ndarray:
        """Returns `[p]`: `of_kernels` for variables of two axes or more, and 0 for others."""
        numbers = [of_kernels if len(shape) > 1 else 0.0 for shape in self._shapes]
        return np.repeat(numbers, self._sizes).astype(self.dtype)

    @contextmanager
    def substituted(self) -> Iterator[None]:
        """Lets layers use `values` in place of their variables, so that derivatives by these exist.

        That holds for the model and for any other model that is made of its layers.
        """
        mapping = list(zip(self._variables, self.values, strict=True))
        with (
            safe_derivatives(),
            keras.StatelessScope(state_mapping=mapping),
        ):
            yield

    def split(self, vector: tf.Tensor) -> list[tf.Tensor]:
        """Splits a vector `[p]` into the shapes of the trained variables."""
        parts = tf.split(vector, self._sizes)
        return [tf.reshape(*pair) for pair in zip(parts, self._shapes, strict=True)]

    def _logits(self, inputs: Any) -> tf.Tensor:
        with self.substituted():
            outputs = self._model(inputs, training=False)
        if outputs.shape.rank == 1 or outputs.shape[-1] == 1:
            return self._of_two(tf.reshape(outputs, [-1, 1]))
        if not self._of_probabilities:
            return outputs
        return tf.math.log(tf.maximum(outputs, _LEAST))

    def _of_two(self, outputs: tf.Tensor) -> tf.Tensor:
        """Logits of two classes, 0 and the log odds, from the one output of a binary classifier."""
        if self._of_probabilities:
            p = tf.maximum(outputs, _LEAST), tf.maximum(1 - outputs, _LEAST)
            outputs = tf.math.log(p[0]) - tf.math.log(p[1])
        return tf.concat([tf.zeros_like(outputs), outputs], axis=1)

    def _rows(self, inputs: Any, cotangents: tf.Tensor) -> tf.Tensor:
        def row(example: tuple[Any, tf.Tensor]) -> tf.Tensor:
            one, cotangent = example
            one = keras.tree.map_structure(lambda array: array[None], one)
            with tf.GradientTape() as tape:
                tape.watch(self.values)
                logits = self._logits(one)
            return self._flat(_gradient(tape, logits, self.values, cotangent[None]))

        return tf.vectorized_map(row, (inputs, cotangents))

    def _hessian_product(self, inputs: Any, labels: tf.Tensor, vectors: tf.Tensor) -> tf.Tensor:
        """Multiplies the Hessian of the sum of losses by each vector."""

        def product(vector: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape() as outer:
                outer.watch(self.values)
                with tf.GradientTape() as inner:
                    inner.watch(self.values)
                    logits = self._logits(inputs)
                    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                    loss = tf.reduce_sum(losses)
                along = tf.reduce_sum(self._flat(_gradient(inner, loss, self.values)) * vector)
            return self._flat(_gradient(outer, along, self.values))

        return tf.vectorized_map(product, vectors)

    def _gauss_newton_product(
        self, inputs: Any, labels: tf.Tensor, vectors: tf.Tensor
    ) -> tf.Tensor:
        """Multiplies the Gauss-Newton matrix of the sum of losses by each vector."""
        del labels  # the curvature of softmax does not depend on them

        def product(vector: tf.Tensor) -> tf.Tensor:
            with tf.GradientTape(persistent=True) as inner:
                inner.watch(self.values)
                logits = self._logits(inputs)
            # The transposed Jacobian is linear in `zeros`: its derivative is the Jacobian.
            zeros = tf.zeros_like(logits)
            with tf.GradientTape() as outer:
                outer.watch(zeros)
                back = self._flat(_gradient(inner, logits, self.values, zeros))
                along = tf.reduce_sum(back * vector)
            moved = outer.gradient(along, zeros)
            p = tf.nn.softmax(logits)
            moved = p * (moved - tf.reduce_sum(p * moved, axis=-1, keepdims=True))
            return self._flat(_gradient(inner, logits, self.values, moved))

        return tf.vectorized_map(product, vectors)

    def _flat(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.concat([tf.reshape(part, [-1]) for part in parts], axis=0)


def _gradient(
    tape: tf.GradientTape,
    target: tf.Tensor,
    sources: Sequence[tf.Tensor],
    cotangent: tf.Tensor | None = None,
) -> list[tf.Tensor]:
    """Returns dense gradients, 0 where the target does not depend on a source."""
    zero = tf.UnconnectedGradients.ZERO
    found = tape.gradient(target, sources, cotangent, unconnected_gradients=zero)
    return [tf.convert_to_tensor(gradient) for gradient in found]
