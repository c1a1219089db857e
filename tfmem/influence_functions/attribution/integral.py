"""Attributes the memorization of an example to its parts (Zheng & Jiang 2022, Sec. 2.2).

An example `x` and its baseline `x'` are blended part by part: weight `a_t` puts `x'_t + a_t (x_t -
x'_t)` in the place of part `t`, a word or a patch. Let `g(a)` be the gradient of the cross entropy
of the blend, with the example's label, and `I(a) = P g^T H^-1 g(a)` its influence on the example
itself. All weights 1 give `M_remove`, and `M_replace = I(1) - I(0)`, in the conventions of
`tfmem.influence_functions.scores`. Along the straight line between them

    M_replace = sum_t (integral of dI / da_t),

and the terms are the attributions. `dI / da_t` is eq. 5's `r` times `X - X'`, summed over what part
`t` consists of: embedding dimensions, word pieces or pixels. If the
embedding is trained, too, its gradients are included, which a derivative by `X` would leave out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf

from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import solved, warn_of_failures
from tfmem.influence_functions.solver import Solver
from tfmem.messages.errors import InputError

QuadratureRule = Literal["midpoint", "left", "right"]

_AT_ONCE = 1 << 20  # most numbers in the blends of one call of a program


@dataclass(frozen=True)
class Parts:
    """What an example is made of.

    Attributes:
      shape: shape of its scores: `(words,)`, or `(rows, columns)` of patches.
      tensors: the tensors that `Splitter.logits` needs for this example.
      numbers: how many numbers the model reads of one blend.
      words: the words of a text, in order.
      sentences: the sentence of each word of a text.
    """

    shape: tuple[int, ...]
    tensors: Any
    numbers: int
    words: tuple[str, ...] = ()
    sentences: tuple[int, ...] = ()


class Splitter(Protocol):
    """Takes training examples apart, and blends them with their baselines.

    Attributes:
      signature: a `tf.TensorSpec` for each of the tensors of `Parts`.
    """

    signature: Any

    def parts(self, example: int) -> Parts:
        """Returns the parts of a training example."""

    def logits(self, weights: tf.Tensor, tensors: Any) -> tf.Tensor:
        """Returns the logits of blends, `[blends, classes]`.

        Args:
          weights: `[blends, parts]`; 1 is the example, 0 the baseline.
          tensors: those of `Parts`.
        """


@dataclass(frozen=True)
class Attribution:
    """The memorization of an example, divided among its parts.

    Attributes:
      index: the index of the training example.
      parts: its words or patches.
      scores: float64 `[parts]`, which sum to `replace` but for the gap. If the solver has not
        converged, they and all that follows are NaN.
      memorization: `M_remove / n`.
      replace: `M_replace`, in the units of `M_remove`.
      gap: `|sum of scores - replace| / |replace|`, the error of the sum that stands for the
        integral.
      steps: number of terms of that sum.
    """

    index: int
    parts: Parts = field(repr=False)
    scores: np.ndarray
    memorization: float
    replace: float
    gap: float
    steps: int


class BlendInfluence:
    """Computes the influence of blends on their example, and its derivatives by the weights.

    The product of a gradient with a direction is a derivative along that direction of the
    parameters: forward mode computes it beside the logits, for any number of blends. Reverse mode
    then runs once for the weights. Layers below the trained ones are run once in each mode.
    """

    def __init__(self, objective: Objective, splitter: Splitter) -> None:
        """Takes the model's objective and the way to take its examples apart."""
        self._objective = objective
        self._splitter = splitter
        dtype, count = objective.dtype, objective.num_parameters
        signature = [
            tf.TensorSpec([None, None], dtype),
            splitter.signature,
            tf.TensorSpec([], tf.int32),
            tf.TensorSpec([count], dtype),
        ]
        self._value_program = tf.function(self._values, signature)
        self._slope_program = tf.function(self._slopes, signature)

    def values(
        self, weights: np.ndarray, parts: Parts, label: int, direction: np.ndarray
    ) -> np.ndarray:
        """Returns `direction @ g(weights)`, float64 `[blends]`; see `directions`."""
        found = self._in_blocks(self._value_program, weights, parts, label, direction)
        return np.concatenate(list(found)).astype(np.float64)

    def slopes(
        self, weights: np.ndarray, parts: Parts, label: int, direction: np.ndarray
    ) -> np.ndarray:
        """Returns the derivatives of `values` by the weights, float64 `[blends, parts]`."""
        found = self._in_blocks(self._slope_program, weights, parts, label, direction)
        return np.concatenate(list(found)).astype(np.float64)

    def _in_blocks(
        self, program: Any, weights: np.ndarray, parts: Parts, label: int, direction: np.ndarray
    ) -> Iterator[np.ndarray]:
        dtype = self._objective.dtype
        along, size = tf.constant(direction, dtype), max(1, _AT_ONCE // parts.numbers)
        for start in range(0, len(weights), size):
            block = tf.constant(weights[start : start + size], dtype)
            yield program(block, parts.tensors, tf.constant(label, tf.int32), along).numpy()

    def _values(
        self, weights: tf.Tensor, tensors: Any, label: tf.Tensor, direction: tf.Tensor
    ) -> tf.Tensor:
        function = self._objective.function
        tangents = function.split(direction)
        with tf.autodiff.ForwardAccumulator(function.values, tangents) as forward:
            with function.substituted():
                logits = self._splitter.logits(weights, tensors)
            losses = -tf.nn.log_softmax(logits)[:, label]
        return forward.jvp(losses, unconnected_gradients=tf.UnconnectedGradients.ZERO)

    def _slopes(
        self, weights: tf.Tensor, tensors: Any, label: tf.Tensor, direction: tf.Tensor
    ) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(weights)
            values = self._values(weights, tensors, label, direction)
        return tape.gradient(values, weights)


def directions(
    solver: Solver, examples: Sequence[int] | np.ndarray
) -> Iterator[tuple[int, np.ndarray, float]]:
    """Yields `P H^-1 g` of each example; its product with another's `g` is the other's influence.

    Yields:
      The example, `P H^-1 g`, `[p]`, and its `M_remove`, of either sign (see
      `tfmem.influence_functions.scores`); both NaN if the solver has not converged.

    Warns:
      UserWarning: after the last, if the solver has not converged for some.
    """
    examples = np.asarray(examples, np.int64)
    all_converged = [np.zeros(0, bool)]
    for start in range(0, len(examples), solver.at_once):
        chosen = examples[start : start + solver.at_once]
        solution, probabilities = solved(solver, *solver.objective.take(chosen))
        removed = probabilities * solution.own
        converged = solution.converged & np.isfinite(removed)
        all_converged.append(converged)
        for row, example in enumerate(chosen):
            if converged[row]:
                direction = probabilities[row] * solver.lift(solution.paired[row : row + 1])[0]
                yield int(example), direction, float(removed[row])
            else:
                yield int(example), np.full(solver.objective.num_parameters, np.nan), np.nan
    warn_of_failures(solver, np.concatenate(all_converged))


def attributions(
    solver: Solver,
    splitter: Splitter,
    examples: Sequence[int] | np.ndarray,
    steps: int = 50,
    rule: QuadratureRule = "midpoint",
) -> Iterator[Attribution]:
    """Attributes the memorization of training examples to their parts (Zheng & Jiang 2022, eq. 5).

    Args:
      solver: a solver that is ready for the objective.
      splitter: the splitter for the same model and examples.
      examples: the indices of the examples.
      steps: number of terms of the sum that stands for the integral.
      rule: where in each step the derivative is taken. The released code of the paper says `right`
        and does `left`; their error falls as 1 / steps, that of the middle as 1 / steps^2.

    Yields:
      One for each example, in order.

    Warns:
      UserWarning: after the last, if the solver has not converged for some.

    Raises:
      InputError: if there is no step, or an example has no parts to tell apart.
    """
    if steps < 1:
        raise InputError(f"steps: expected at least 1, received {steps}")
    offset = {"left": 0.0, "midpoint": 0.5, "right": 1.0}[rule]
    places = (np.arange(steps) + offset) / steps
    influence = BlendInfluence(solver.objective, splitter)
    for example, direction, removed in directions(solver, examples):
        parts, label = splitter.parts(example), int(solver.objective.labels[example])
        count = int(np.prod(parts.shape))
        if not count:
            raise InputError(f"training example {example}: the model reads nothing of it")
        if np.isnan(removed):
            scores, replace = np.full(count, np.nan), np.nan
        else:
            along = parts, label, direction
            ends = np.broadcast_to([[1.0], [0.0]], (2, count))
            replace = float(-np.diff(influence.values(ends, *along))[0])
            line = np.broadcast_to(places[:, None], (steps, count))
            scores = influence.slopes(line, *along).mean(axis=0)
        gap = abs(scores.sum() - replace) / abs(replace) if replace else 0.0
        memorization = removed / len(solver.objective.labels)
        yield Attribution(example, parts, scores, memorization, replace, gap, steps)
