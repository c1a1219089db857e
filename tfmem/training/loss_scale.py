"""Dynamic loss scaling, which keeps gradients in float16 from vanishing and overflowing.

The loss is multiplied by a scale before the backward pass, and gradients are divided by it after. A
step whose gradients are not finite is skipped and halves the scale; a number of good steps in
succession doubles it (Micikevicius et al. 2018, Sec. 3.2). Initial scale and number of steps are
those of the model's `keras.optimizers.LossScaleOptimizer`, which itself neither stacks models nor
runs under `MirroredStrategy`.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf


class LossScale:
    """The scales of models that are trained together.

    Attributes:
      scales: float32 `[models]`, the factor of each model's loss.
      good_steps: float32 `[models]`, number of steps since the scale last changed (GPUs hold no
        int32 variables).
    """

    def __init__(self, models: int, optimizer: keras.optimizers.LossScaleOptimizer) -> None:
        """Gives each of `models` models the initial scale of an optimizer."""
        self._initial = float(optimizer.initial_scale)
        self._growth_steps = float(optimizer.dynamic_growth_steps)
        self.scales = tf.Variable(tf.fill([models], self._initial), trainable=False)
        self.good_steps = tf.Variable(tf.zeros([models]), trainable=False)

    @property
    def variables(self) -> list[tf.Variable]:
        """The variables that a checkpoint holds."""
        return [self.scales, self.good_steps]

    def reset(self) -> None:
        """Sets all scales to the initial scale again."""
        self.scales.assign(tf.fill(self.scales.shape, self._initial))
        self.good_steps.assign(tf.zeros_like(self.good_steps))

    def update(self, finite: tf.Tensor) -> None:
        """Changes the scales after a step.

        Args:
          finite: bool `[models]`, whether all gradients of each model were finite.
        """
        scales = tf.convert_to_tensor(self.scales)
        good = tf.where(finite, tf.convert_to_tensor(self.good_steps) + 1, 0)
        grown = good >= self._growth_steps
        self.scales.assign(tf.where(finite, tf.where(grown, 2 * scales, scales), scales / 2))
        self.good_steps.assign(tf.where(grown, tf.zeros_like(good), good))


def all_finite(gradients: Sequence[tf.Tensor]) -> tf.Tensor:
    """Whether all numbers of one model's gradients are finite: bool `[]`."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(gradient)) for gradient in gradients])


def of_models(finite: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Reshapes a value for each model, `[models]`, so that it broadcasts with `[models, ...]`."""
    return tf.reshape(finite, [-1] + [1] * (len(like.shape) - 1))
