"""Which parts of an example its memorization rests on (Zheng & Jiang 2022, Sec. 2.2).

An example `x` and its baseline `x'` are blended part by part: weight `a_t` puts `x'_t + a_t (x_t -
x'_t)` in the place of part `t`, a word or a patch. Let `g(a)` be the gradient of the cross entropy
of the blend, with the example's label, and `I(a) = P g^T H^-1 g(a)` its influence on the example
itself. All weights 1 give `M_remove`, and `M_replace = I(1) - I(0)`, in the conventions of
`tfmem.influence_functions.scores`. Along the straight line between them

    M_replace = sum_t (integral of dI / da_t),

and the terms are the attributions. `dI / da_t` is eq. 5's `r` times `X - X'`, summed over what part
`t` consists of: embedding dimensions, word pieces or pixels. With an embedding that is itself
trained, its own gradients are in it, which a derivative by `X` would leave out.
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

_AT_ONCE = 1 << 20  # numbers that blends may have in one call of a program


@dataclass(frozen=True)
class Parts:
    """What an example is made of.

    Attributes:
      shape: of its scores: `(words,)`, or `(rows, columns)` of patches.
      tensors: what `Splitter.logits` needs of it.
      numbers: how many the model reads of one blend.
      words: of texts, in order.
      sentences: of texts, which sentence each word is of.
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
        """The parts of a training example."""

    def logits(self, weights: tf.Tensor, tensors: Any) -> tf.Tensor:
        """The logits of blends, `[blends, classes]`.

        Args:
          weights: `[blends, parts]`; 1 is the example, 0 the baseline.
          tensors: of `Parts`.
        """


@dataclass(frozen=True)
class Attribution:
    """What the memorization of an example rests on.

    Attributes:
      index: of the training example.
      parts: its words or patches.
      scores: float64 `[parts]`, they sum to `replace` but for the gap; NaN, as all that follows, if
        the solver has not converged.
      memorization: `M_remove / n`.
      replace: `M_replace`, in the units of `M_remove`.
      gap: `|sum of scores - replace| / |replace|`, what the sum over steps has missed.
      steps: of the sum.
    """

    index: int
    parts: Parts = field(repr=False)
    scores: np.ndarray
    memorization: float
    replace: float
    gap: float
    steps: int


class BlendInfluence:
    """Influence of blends on the example they are made of, and its derivatives by weights.

    A product with the gradient is the derivative along one direction of the parameters, which the
    forward mode carries beside the logits, for any number of blends; the reverse mode then runs
    once. The layers below the trained ones are passed once each way.
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
        """`direction @ g(weights)`, float64 `[blends]`; see `directions`."""
        found = self._in_blocks(self._value_program, weights, parts, label, direction)
        return np.concatenate(list(found)).astype(np.float64)

    def slopes(
        self, weights: np.ndarray, parts: Parts, label: int, direction: np.ndarray
    ) -> np.ndarray:
        """Its derivatives, float64 `[blends, parts]`."""
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
    """For each example `P H^-1 g`, whose product with another's `g` is that one's influence on it.

    Yields:
      The example, `[p]`, and its `M_remove`, of either sign (see
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
    """Attributions of training examples (Zheng & Jiang 2022, eq. 5).

    Args:
      solver: ready for the objective.
      splitter: of the same model and examples.
      examples: which.
      steps: of the sum that stands for the integral.
      rule: where in each step the derivative is taken. The released code of the paper says `right`
        and does `left`; the error of both falls as 1 / steps, that of the middle as its square.

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
            raise InputError(f"training example {example}: nothing that the model reads of it")
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
