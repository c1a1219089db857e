"""The step of any Keras optimizer for one model, without state of its own."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import keras
import numpy as np

from tfmem.training.schedules import Course, schedule_of

Arrays = list[jax.Array]


class Rule:
    """What a step does to the weights of one model.

    What the rule remembers are the optimizer's variables. With `mixed_float16` the scale of the
    loss and the number of steps that it was good for come before them (see
    `tfmem.training.loss_scale`).

    Attributes:
      averages: whether the optimizer averages weights (`use_ema`).
    """

    def __init__(self, model: keras.Model) -> None:
        """Takes the optimizer of a compiled model, with what it remembers."""
        optimizer = model.optimizer
        self._initial_scale: float | None = None
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            self._initial_scale = float(optimizer.initial_scale)
            self._growth_steps = float(optimizer.dynamic_growth_steps)
            optimizer = optimizer.inner_optimizer
        self._course: Course | None = None
        schedule = schedule_of(optimizer)
        if isinstance(schedule, Course):
            self._course = schedule
            optimizer = optimizer.with_rate(0.0)
        if not optimizer.built:
            optimizer.build(model.trainable_variables)
        self._optimizer = optimizer
        self._rate = [v is optimizer.learning_rate for v in optimizer.variables]
        self.averages = bool(optimizer.use_ema)

    def rates(self, steps: int) -> np.ndarray:
        """The rates of a recipe, float32 `[steps]`; other optimizers know their rate, so zeros."""
        return self._course.rates(steps) if self._course else np.zeros(steps, np.float32)

    def first(self) -> list[np.ndarray]:
        """What the rule remembers before the first step."""
        kept = [np.asarray(variable) for variable in self._optimizer.variables]
        if self._initial_scale is None:
            return kept
        return [np.full((), self._initial_scale, np.float32), np.zeros((), np.float32), *kept]

    def scaled(self, loss: jax.Array, memory: Sequence[jax.Array]) -> jax.Array:
        """The loss times the factors of which `step` frees the gradients."""
        loss = self._optimizer.scale_loss(loss)
        return loss if self._initial_scale is None else loss * memory[0]

    def step(
        self, gradients: Arrays, weights: Arrays, memory: Arrays, rate: jax.Array
    ) -> tuple[Arrays, Arrays, jax.Array | None]:
        """Moves the weights.

        Args:
          gradients: those of the scaled loss.
          weights: the weights.
          memory: what the rule remembers.
          rate: float32, the learning rate of a recipe.

        Returns:
          The new weights and memory; and whether all gradients are finite, if the loss is scaled;
          where they are not, nothing is moved.
        """
        if self._initial_scale is None:
            return *self._applied(gradients, weights, memory, rate), None
        scale, good, *kept = memory
        finite = jnp.stack([jnp.isfinite(gradient).all() for gradient in gradients]).all()
        gradients = [gradient / scale for gradient in gradients]
        moved = self._applied(gradients, weights, kept, rate)
        weights, kept = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old), moved, (weights, kept)
        )
        good = jnp.where(finite, good + 1, 0)
        grown = good >= self._growth_steps
        scale = jnp.where(finite, jnp.where(grown, 2 * scale, scale), scale / 2)
        return weights, [scale, jnp.where(grown, 0, good), *kept], finite

    def _applied(
        self, gradients: Arrays, weights: Arrays, kept: Arrays, rate: jax.Array
    ) -> tuple[Arrays, Arrays]:
        if self._course:
            pairs = zip(kept, self._rate, strict=True)
            kept = [rate if is_rate else value for value, is_rate in pairs]
        weights, kept = self._optimizer.stateless_apply(kept, gradients, weights)
        return list(weights), list(kept)

    def finished(self, weights: Arrays, memory: Arrays) -> Arrays:
        """The weights with which a model predicts, which may be averages."""
        if not self.averages:
            return weights
        kept = memory if self._initial_scale is None else memory[2:]
        variables = self._optimizer._trainable_variables
        given = (
            *zip(variables, weights, strict=True),
            *zip(self._optimizer.variables, kept, strict=True),
        )
        with keras.StatelessScope(given) as scope:
            self._optimizer.finalize_variable_values(variables)
        return [scope.get_current_value(variable) for variable in variables]
