"""How a step moves the weights of stacked models."""

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

    TensorFlow has this step as one operation, without a name in its Python interface except in
    `tf.raw_ops`. Keras' optimizers put it together from elementary operations, each a pass over
    memory, which for wide layers is half of the cost of training; and its variables are those of
    one model.

    Args:
      weight: moved in place; of any shape.
      velocity: of the shape of `weight`; becomes `momentum * velocity - rate * gradient`.
      gradient: of the shape of `weight`.
      rate: scalar, the learning rate.
      momentum: what remains of a velocity after a step.
      nesterov: whether weights move by the velocity that is to come (Nesterov 1983).
    """
    tf.raw_ops.ResourceApplyKerasMomentum(
        var=weight.handle,
        accum=velocity.handle,
        lr=rate,
        grad=gradient,
        momentum=momentum,
        use_nesterov=nesterov,
    )
