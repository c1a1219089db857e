"""The objective by which a model was trained, as a function of its trained variables.

It is the mean cross entropy of the training examples plus `weight_decay / 2` times the sum of
squares of the kernels (variables of two axes or more), which is what the trainers of this package
minimize. Everything is evaluated with `training=False`, at the values that the model has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import keras
import numpy as np
import psutil
import tensorflow as tf

from tfmem.datasets.padding import lengths
from tfmem.influence_functions.factors import covariance_factors, sampled_factors
from tfmem.influence_functions.function import LogitFunction
from tfmem.messages.errors import InputError

Curvature = Literal["gauss_newton", "hessian"]

_ROW_BYTES = 1 << 28  # most bytes of per-example gradients that are held at once
_MOST_ROWS = 512
_BATCH = 256  # number of examples in a call of a program
_FEW_CLASSES = 10
_LEAST = 1e-300  # least probability of all other labels together
_LOOKED_AT = 32  # number of examples whose outputs show whether these are probabilities


class Objective:
    """A training objective, its derivatives, and its curvature.

    Vectors are in the space of the trained variables: flattened and concatenated in order, `p`
    numbers, in the variables' type. The curvature is the mean over the training examples plus the
    weight decay's share; its Gauss-Newton form leaves out the second derivatives of the network, is
    never negative, and equals the Hessian for a linear head (Martens 2020, Sec. 8).

    Attributes:
      model: the model itself.
      function: its logits, as a function of the trained variables.
      labels: int64 `[n]`.
      num_classes: number of logits.
      num_parameters: `p`.
      dtype: of vectors.
      decay: `[p]`, the weight decay's share in the diagonal of the curvature.
      curvature_examples: int64, the training examples over which the curvature is a mean.
      padded: whether the ends of inputs are left out where they are 0 in all of a batch.
    """

    def __init__(
        self,
        model: keras.Model,
        inputs: Any,
        labels: np.ndarray,
        variables: Sequence[keras.Variable] | None = None,
        weight_decay: float = 0.0,
        curvature_examples: np.ndarray | None = None,
        padded: bool = False,
    ) -> None:
        """Takes a trained model and what it was trained on.

        Args:
          model: returns logits `[batch, classes]`, or probabilities if its last layer or its loss
            shows that (see `tfmem.models.outputs`), in place of which logits are taken; it is left
            as it is.
          inputs: what the model takes: an array `[n, ...]`, or a tuple, list or dict of them
            (activations and their mask, say).
          labels: classes `[n]`.
          variables: the variables that were trained, all of one type; None is all trainable ones.
            If they and the layers are float64, everything is computed in float64.
          weight_decay: coefficient of the L2 penalty that is part of the loss.
          curvature_examples: the training examples over which the curvature is a mean; fewer save
            time, and None is all.
          padded: whether `inputs` is an array of sequences `[n, length, ...]` that end in zeros
            which the model can do without.

        Raises:
          InputError: if arrays differ in length, a label has no logit, nothing is trained, there
            are no examples for the curvature, or the model returns probabilities.
        """
        if weight_decay < 0:
            raise InputError(f"weight_decay: expected at least 0, received {weight_decay}")
        self.model, self.padded = model, padded
        self._inputs = inputs
        self.labels = np.asarray(labels)
        trained = model.trainable_variables if variables is None else variables
        examples = keras.tree.map_structure(self._specification, inputs)
        self.function = LogitFunction(model, trained, examples)
        self.num_parameters = self.function.num_parameters
        self.num_classes = self.function.num_classes
        self.dtype = self.function.dtype
        self.decay = self.function.diagonal(weight_decay)
        self._check(inputs, self.labels)
        self._lengths = lengths(inputs) if padded else np.zeros(len(self.labels), np.int64)
        everything = np.arange(len(self.labels))
        self.curvature_examples = everything if curvature_examples is None else curvature_examples
        if not np.isin(self.curvature_examples, everything).all() or not len(
            self.curvature_examples
        ):
            raise InputError(
                f"curvature_examples: expected numbers from 0 to {len(everything) - 1}, received "
                f"{self.curvature_examples}"
            )
        self._kept: tuple[np.ndarray, ...] | None = None
        self._check_logits()

    def take(self, examples: np.ndarray) -> tuple[Any, np.ndarray]:
        """Returns the inputs and labels of some training examples."""
        return _take(self._inputs, examples), self.labels[examples]

    def by_length(self, examples: np.ndarray) -> np.ndarray:
        """Returns positions in `examples` by ascending length, so that like lengths are together.

        A batch costs what its longest example does. Without padding the order stays as it is.
        """
        return np.argsort(self._lengths[examples], kind="stable")

    def probabilities(self, inputs: Any) -> np.ndarray:
        """Computes the model's probability of each class, float64 `[count, classes]`."""
        count = len(keras.tree.flatten(inputs)[0])
        logits = [
            self.function.logits(self._tensors(inputs, rows)).numpy()
            for rows in _batches(count, _BATCH)
        ]
        shifted = np.concatenate(logits).astype(np.float64)
        shifted = np.exp(shifted - shifted.max(axis=1, keepdims=True))
        return shifted / shifted.sum(axis=1, keepdims=True)

    @cached_property
    def _believed(self) -> np.ndarray:
        """Computes the model's probabilities for the examples of the curvature."""
        return self.probabilities(_take(self._inputs, self.curvature_examples))

    def loss_gradients(
        self, inputs: Any, labels: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Computes the probability of each example's label, and the gradient of its cross entropy.

        The gradient of the probability is minus the product of the two. Weight decay is left out,
        because it does not change when an example is removed.

        Yields:
          For each block, in order, the probabilities, float64 `[block]`, and gradients,
          `[block, p]`.
        """
        p, every = self._believed_of(inputs, labels)
        residuals = p.copy()
        residuals[every, labels] = 0
        residuals[every, labels] = -residuals.sum(axis=1)  # 1 - p would round small residuals to 0
        yield from self._with_rows(p[every, labels], inputs, residuals)

    def margin_gradients(
        self, inputs: Any, labels: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Computes `1 - p`, `p` the probability of each example's label, and gradients of margins.

        The margin is `log(p / (1 - p))`; its gradient is minus that of the cross entropy divided by
        `1 - p`.

        Yields:
          For each block, in order, `1 - p`, float64 `[block]`, and gradients, `[block, p]`.
        """
        p, every = self._believed_of(inputs, labels)
        others = p.copy()
        others[every, labels] = 0
        missing = others.sum(axis=1)
        cotangents = -others / np.maximum(missing, _LEAST)[:, None]
        cotangents[every, labels] = 1
        yield from self._with_rows(missing, inputs, cotangents)

    def _believed_of(self, inputs: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The model's probabilities for examples, and the examples' positions."""
        self._check(inputs, np.asarray(labels))
        return self.probabilities(inputs), np.arange(len(labels))

    def _with_rows(
        self, values: np.ndarray, inputs: Any, cotangents: np.ndarray
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        start = 0
        for rows in self.rows(inputs, np.arange(len(values)), cotangents):
            yield values[start : start + len(rows)], rows
            start += len(rows)

    def rows(
        self, inputs: Any, examples: np.ndarray, cotangents: np.ndarray
    ) -> Iterator[np.ndarray]:
        """Yields gradients of `cotangents[i] @ logits(inputs[examples[i]])`, in blocks `[b, p]`."""
        most = _ROW_BYTES // (self.num_parameters * self.dtype.itemsize)
        for block in _batches(len(examples), int(np.clip(most, 1, _MOST_ROWS))):
            # TensorFlow 2.21 vectorizes a loop over a single row wrongly (its reshapes): take two.
            taken = block if len(block) > 1 else block.repeat(2)
            u = tf.constant(cotangents[taken], self.dtype)
            found = self.function.rows(self._tensors(inputs, examples[taken]), u)
            yield np.asarray(found)[: len(block)]

    def curvature_rows(
        self, most: int | None = None, seed: int = 0, first: int = 0, last: int | None = None
    ) -> Iterator[np.ndarray]:
        """Yields rows `D`; `D.T @ D` is the Gauss-Newton matrix of the mean cross entropy.

        Each example has `classes - 1` rows, from the exact factors of the covariance of its label
        under the model. If that is more than `most`, it has the gradients for `most` labels drawn
        from the model, which give the same matrix on average (the Fisher information).

        Yields:
          `[block, p]`, the rows from `first` up to but not including `last`; their order is always
          the same.
        """
        examples = self.curvature_examples
        p = self._believed
        if most is not None and self.num_classes - 1 > most:
            factors = sampled_factors(p, most, np.random.default_rng(seed))
        else:
            factors = covariance_factors(p)
        order = self.by_length(examples)
        factors = factors[order] / np.sqrt(len(examples))
        repeated = examples[order].repeat(factors.shape[1])
        factors = factors.reshape(-1, self.num_classes)
        yield from self.rows(self._inputs, repeated[first:last], factors[first:last])

    def product(
        self, vectors: np.ndarray, curvature: Curvature, examples: np.ndarray | None = None
    ) -> np.ndarray:
        """Multiplies the curvature, with weight decay but without damping, by each vector.

        Args:
          vectors: the vectors, `[k, p]`.
          curvature: which curvature is multiplied.
          examples: the training examples of the mean; None is `curvature_examples`.

        Returns:
          The products, `[k, p]`.
        """
        vectors = vectors.astype(self.dtype, copy=False)
        out = self.decay * vectors
        if examples is None and curvature == "gauss_newton" and self.num_classes <= _FEW_CLASSES:
            for rows in self._kept_rows():
                out += (vectors @ rows.T) @ rows
            return out
        chosen = self.curvature_examples if examples is None else examples
        chosen = chosen[self.by_length(chosen)]
        program = self.function.products[curvature]
        for block in _batches(len(chosen), _BATCH):
            inputs = self._tensors(self._inputs, chosen[block])
            labels = tf.constant(self.labels[chosen[block]], tf.int32)
            total = program(inputs, labels, tf.constant(vectors)).numpy()
            out += total / self.dtype.type(len(chosen))
        return out

    def _kept_rows(self) -> Iterator[np.ndarray]:
        """Yields the rows of the Gauss-Newton matrix, and keeps them if they fit in memory."""
        if self._kept is None:
            count = len(self.curvature_examples) * (self.num_classes - 1)
            if count * self.num_parameters * self.dtype.itemsize > holdable_bytes():
                yield from self.curvature_rows()
                return
            self._kept = tuple(self.curvature_rows())
        yield from self._kept

    def _check(self, inputs: Any, labels: np.ndarray) -> None:
        lengths = {len(array) for array in keras.tree.flatten(inputs)}
        if lengths != {len(labels)}:
            raise InputError(
                f"inputs: expected {len(labels)} examples, as many as labels; received "
                f"{sorted(lengths)}"
            )
        if labels.dtype.kind not in "iu" or not len(labels):
            raise InputError(
                f"labels: expected integers [n], received {labels.dtype} {list(labels.shape)}"
            )
        if labels.min() < 0 or labels.max() >= self.num_classes:
            raise InputError(
                f"labels: expected classes from 0 to {self.num_classes - 1}, received "
                f"{labels.min()} to {labels.max()}"
            )

    def _check_logits(self) -> None:
        """Refuses models whose outputs are probabilities: derivatives here are those of logits."""
        rows = np.arange(min(_LOOKED_AT, len(self.labels)))
        found = self.function.logits(self._tensors(self._inputs, rows)).numpy()
        if (found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3):
            raise InputError(
                f"model {self.model.name!r}: expected logits, received outputs that are 0 or more "
                "and sum to 1 for each example, as probabilities do: leave the softmax out"
            )

    def _specification(self, array: Any) -> tf.TensorSpec:
        """Returns the specification of batches of any size and, if `padded`, of any length."""
        shape = list(np.shape(array))
        shape[: 1 + self.padded] = [None] * (1 + self.padded)
        return tf.TensorSpec(shape, np.asarray(array).dtype)

    def _tensors(self, inputs: Any, rows: np.ndarray) -> Any:
        def tensor(array: Any) -> tf.Tensor:
            taken = np.asarray(array)[rows]
            if self.padded:
                taken = taken[:, : max(1, lengths(taken).max())]
            return tf.constant(taken)

        return keras.tree.map_structure(tensor, inputs)


def holdable_bytes() -> int:
    """Returns how many bytes of rows may be kept: a third of the free memory."""
    return int(psutil.virtual_memory().available // 3)


def _take(inputs: Any, rows: np.ndarray) -> Any:
    return keras.tree.map_structure(lambda array: np.asarray(array)[rows], inputs)


def _batches(count: int, size: int) -> Iterator[np.ndarray]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))
