"""The update rule that moves the weights of stacked models."""

from __future__ import annotations

import tensorflow as tf


def apply_momentum(
    weight: tf.Variable,
    velocity: tf.Variable,
    gradient: tf.Tensor,
    rate: tf.Tensor,
    momentum: float,
    nesterov: bool,
) -> None:
    """Moves weights by a step of gradient descent with momentum, as `keras.optimizers.SGD` does.

    TensorFlow has this step as one operation, which its Python interface names only in
    `tf.raw_ops`. Keras' optimizers compose it of elementary operations, each a pass over memory,
    which for wide layers is half of the cost of training, and they hold the variables of one model
    only.

    Args:
      weight: weights of any shape, which are changed in place.
      velocity: has the shape of `weight`; becomes `momentum * velocity - rate * gradient`.
      gradient: has the shape of `weight`.
      rate: scalar, the learning rate.
      momentum: the share of a velocity that remains after a step.
      nesterov: whether weights move by the velocity of the next step (Nesterov 1983).
    """
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=velocity.handle,
        lr=rate,
        grad=gradient,
        momentum=momentum,
        use_nesterov=nesterov,
    )
