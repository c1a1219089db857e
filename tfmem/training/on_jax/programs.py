"""The programs of a stack of models: the steps of an epoch, and predictions.

A program of one model is mapped over the stack by `jax.vmap`. A stack of one is not mapped, because
a convolution that is mapped over models becomes a grouped one, which is slow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import keras

from tfmem.tasks import Task
from tfmem.training.epochs import Batches
from tfmem.training.losses import stateless_loss, stateless_outputs
from tfmem.training.on_jax.products import with_fast_products
from tfmem.training.on_jax.resident import Arrays, Examples
from tfmem.training.on_jax.rules import Rule

_COMPILING = threading.Lock()  # two threads must not trace Keras' layers at the same time


class Values(NamedTuple):
    """The variables of one model, or of a stack with a first axis for models.

    Attributes:
      weights: those that are trained.
      state: the others, such as statistics of batches and states of random generators.
      memory: what the rule remembers.
    """

    weights: list[jax.Array]
    state: list[jax.Array]
    memory: list[jax.Array]


class Programs:
    """Programs for stacks of one size, which all lanes share.

    Attributes:
      model: the compiled model, whose own variables are not used.
      rule: the step of its optimizer.
      size: number of models in a stack.
    """

    def __init__(
        self,
        model: keras.Model,
        rule: Rule,
        examples: Examples,
        task: Task,
        size: int,
        pad: int,
    ) -> None:
        """Takes what the programs do.

        Args:
          model: the compiled model.
          rule: the step of its optimizer.
          examples: the data set; the arrays of any device can be given to the programs.
          task: how examples are scored.
          size: number of models in a stack.
          pad: number of zeros around an image before it is cropped.
        """
        self.size = size
        self.model = model
        self.rule = rule
        self._examples = examples
        self._task = task
        self._pad = pad
        self._compiled: dict[Any, Callable[..., Any]] = {}

    def begin(self, first: Sequence[list[Any]], device: Any) -> Values:
        """The variables of a stack before the first step, on a device.

        Args:
          first: weights and state of a stack, as arrays of numpy; and what the rule of one model
            remembers.
          device: the device, of JAX; None is the first one.
        """
        return self._run(self._begin, Values(*first), device=device)

    def epoch(
        self, values: Values, arrays: Arrays, parts: Sequence[Batches]
    ) -> tuple[Values, jax.Array]:
        """Makes one pass over the subsets.

        Args:
          values: variables of the stack, whose memory is used for the result.
          arrays: those of the examples.
          parts: the steps, with examples as `feed` returns them, and steps before models:
            `[steps, stack, batch, ...]`.

        Returns:
          The new variables; and, for each part and each model, the sum of the losses of the steps
          that it took, and their number: float32 `[parts, 2, stack]`.
        """
        return self._run(self._epoch, values, arrays, parts)

    def epochs(
        self, values: Values, arrays: Arrays, parts: Sequence[Batches]
    ) -> tuple[Values, jax.Array]:
        """Makes several passes over the subsets, in one program.

        Args:
          values: as in `epoch`.
          arrays: as there.
          parts: as there, with a first axis for epochs.

        Returns:
          The new variables, and what `epoch` returns of each epoch: `[epochs, parts, 2, stack]`.
        """
        return self._run(self._epochs, values, arrays, parts)

    def scores(self, values: Values, arrays: Arrays, indices: jax.Array) -> dict[str, jax.Array]:
        """What the task computes of examples, `[stack, len(indices), ...]` by name."""
        return self._run(self._scores, values, arrays, indices)

    def outputs(self, values: Values, arrays: Arrays, indices: jax.Array) -> Any:
        """What models predict for examples, `[stack, len(indices), ...]`."""
        return self._run(self._outputs, values, arrays, indices)

    def finish(self, values: Values) -> Values:
        """Sets weights to their averages, if the rule has averaged them."""
        return self._run(self._finish, values)

    def _run(
        self, program: Callable[..., Any], values: Values, *arguments: Any, device: Any = None
    ) -> Any:
        """Runs a program, which is compiled when it first receives arguments of these shapes."""
        where = device
        if where is None and values.weights:
            where = getattr(values.weights[0], "device", None)
        shapes = (array.shape for array in jax.tree.leaves(arguments[1:]))
        key = program.__name__, where, *shapes
        if key not in self._compiled:
            with _COMPILING, jax.default_device(device):
                if key not in self._compiled:
                    changed = (0,) if program in (self._epoch, self._epochs, self._finish) else ()
                    lowered = jax.jit(program, donate_argnums=changed).lower(values, *arguments)
                    self._compiled[key] = lowered.compile()
        return self._compiled[key](values, *arguments)

    def _mapped(self, function: Callable[..., Any], *axes: int | None) -> Callable[..., Any]:
        """A function of one model as one of the stack; `axes` are models' in its arguments."""
        if self.size > 1:
            return jax.vmap(function, in_axes=axes)

        def alone(*arguments: Any) -> Any:
            first = [
                each if axis is None else jax.tree.map(lambda value: value[0], each)
                for each, axis in zip(arguments, axes, strict=True)
            ]
            return jax.tree.map(lambda value: value[None], function(*first))

        return alone

    def _begin(self, first: Values) -> Values:
        memory = [jnp.broadcast_to(value, (self.size, *value.shape)) for value in first.memory]
        return first._replace(memory=memory)

    def _epoch(
        self, values: Values, arrays: Arrays, parts: Sequence[Batches]
    ) -> tuple[Values, jax.Array]:
        done = []
        for part in parts:
            values, *losses = self._steps(values, arrays, part)
            done.append(jnp.stack(losses))
        return values, jnp.stack(done)

    def _epochs(
        self, values: Values, arrays: Arrays, parts: Sequence[Batches]
    ) -> tuple[Values, jax.Array]:
        def body(values: Values, parts: Sequence[Batches]) -> tuple[Values, jax.Array]:
            return self._epoch(values, arrays, parts)

        return jax.lax.scan(body, values, parts)

    def _steps(
        self, values: Values, arrays: Arrays, batches: Batches
    ) -> tuple[Values, jax.Array, jax.Array]:
        """Takes steps; sums the losses of each model, and the number of steps that it took."""
        step = self._mapped(self._step, 0, None, 0, 0, None)

        def body(carried: Any, each: Any) -> tuple[Any, None]:
            values, losses, taken = carried
            batch, chosen, rate = each
            values, loss, finite = step(values, arrays, batch, chosen, rate)
            return (values, losses + loss, taken + finite), None

        none = jnp.zeros([self.size], jnp.float32)
        done, _ = jax.lax.scan(body, (values, none, none), tuple(batches))
        return done

    def _step(
        self, values: Values, arrays: Arrays, batch: jax.Array, moves: Any, rate: jax.Array
    ) -> tuple[Values, jax.Array, jax.Array]:
        """A step of one model; its loss, which is 0 if the step is skipped; 1 if it is taken."""
        inputs = self._examples.inputs(arrays, batch, moves, self._pad)
        targets = self._examples.targets(arrays, batch)

        def scaled(weights: list[jax.Array]) -> tuple[jax.Array, Any]:
            loss, state = stateless_loss(self.model, weights, values.state, inputs, targets)
            return self.rule.scaled(loss, values.memory), (loss, state)

        gradients_of = with_fast_products(jax.grad(scaled, has_aux=True))
        gradients, (loss, state) = gradients_of(values.weights)
        weights, memory, finite = self.rule.step(gradients, values.weights, values.memory, rate)
        if finite is None:
            return Values(weights, state, memory), loss, jnp.ones([], jnp.float32)
        state = [jnp.where(finite, new, old) for new, old in zip(state, values.state, strict=True)]
        return (
            Values(weights, state, memory),
            jnp.where(finite, loss, 0),
            finite.astype(jnp.float32),
        )

    def _scores(self, values: Values, arrays: Arrays, indices: jax.Array) -> dict[str, jax.Array]:
        labels = self._examples.labels(arrays, indices)
        targets = self._examples.targets(arrays, indices)

        def of_one(values: Values) -> dict[str, jax.Array]:
            return self._task.in_program(labels, targets, self._predicted(values, arrays, indices))

        return self._mapped(of_one, 0)(values)

    def _outputs(self, values: Values, arrays: Arrays, indices: jax.Array) -> Any:
        return self._mapped(lambda one: self._predicted(one, arrays, indices), 0)(values)

    def _predicted(self, values: Values, arrays: Arrays, indices: jax.Array) -> Any:
        inputs = self._examples.inputs(arrays, indices)
        return stateless_outputs(self.model, values.weights, values.state, inputs)

    def _finish(self, values: Values) -> Values:
        weights = self._mapped(self.rule.finished, 0, 0)(values.weights, values.memory)
        return Values(weights, values.state, values.memory)
