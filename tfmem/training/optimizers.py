"""Gradient descent and Adam by TensorFlow's own operations, which round as those of Keras do.

Keras' optimizers compose a step of elementary operations, each of which passes over memory. For
wide layers that is half of the cost of training. TensorFlow has such steps, or large parts of them,
as one operation each, which its Python interface names only in `tf.raw_ops`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("tfmem")
class SGD(keras.optimizers.SGD):
    """Stochastic gradient descent with momentum, and with an L2 penalty of kernels.

    Attributes:
      l2: the penalty; its gradient, `l2 * w`, is added to that of the loss. Biases, scales and
        offsets, which have one axis, bear no penalty.
      model_axes: number of leading axes over models: 1 for the weights of a stack, else 0.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        l2: float = 0.0,
        model_axes: int = 0,
        name: str = "SGD",
    ) -> None:
        """Takes the settings; see the class and `keras.optimizers.SGD`."""
        super().__init__(learning_rate, momentum, nesterov, name=name)
        self.l2 = l2
        self.model_axes = model_axes

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Moves a weight, and its velocity to `momentum * velocity - rate * gradient`."""
        weight = variable.value if isinstance(variable, keras.Variable) else variable
        if self.l2 and len(weight.shape) > 1 + self.model_axes:
            gradient += self.l2 * weight
        if keras.config.backend() != "tensorflow":
            super().update_step(gradient, variable, learning_rate)
            return
        import tensorflow as tf

        rate = tf.cast(learning_rate, weight.dtype)
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=weight.handle, alpha=rate, delta=gradient)
            return
        velocity = self.momentums[self._get_variable_index(variable)].value
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=weight.handle,
            accum=velocity.handle,
            lr=rate,
            grad=gradient,
            momentum=self.momentum,
            use_nesterov=self.nesterov,
        )

    def with_rate(self, rate: float) -> SGD:
        """The same rule with a constant learning rate, which can be set."""
        return SGD(rate, self.momentum, self.nesterov, self.l2, self.model_axes)

    def get_config(self) -> dict[str, Any]:
        """The arguments with which an equal optimizer is made."""
        config = super().get_config()
        kept = ("learning_rate", "momentum", "nesterov", "name")
        own = {"l2": self.l2, "model_axes": self.model_axes}
        return {name: config[name] for name in kept} | own


class Adam(keras.optimizers.Adam):
    """Adam and AdamW of Keras without `amsgrad`, in half as many passes over memory.

    TensorFlow's operation for a whole step of Adam would round otherwise: it computes `1 - beta` in
    the type of the weights. Therefore the step is made of others. Keras' own loop over weights is
    replaced, and not the public `update_step` within it, because only there a scale that all
    weights have in common can be computed once.
    """

    def _backend_update_step(
        self, grads: Sequence[Any], trainable_variables: Sequence[Any], learning_rate: Any
    ) -> None:
        """Moves all weights, and the means of their gradients and of the squares of these."""
        import tensorflow as tf

        # What depends on no weight is read once, so that TensorFlow computes one scale for all.
        rate, steps = tf.convert_to_tensor(learning_rate), self.iterations + 1
        for gradient, variable in zip(grads, trainable_variables, strict=True):
            kind, place = variable.dtype, self._get_variable_index(variable)
            mean, square = self._momentums[place].value, self._velocities[place].value
            step = tf.cast(steps, kind)
            left_1, left_2 = (
                1 - tf.pow(tf.cast(beta, kind), step) for beta in (self.beta_1, self.beta_2)
            )
            _approach(mean, gradient, 1 - self.beta_1)
            _approach(square, tf.square(gradient), 1 - self.beta_2)
            # Without `update_slots`, Adagrad's step has the form of Adam's.
            tf.raw_ops.ResourceApplyAdagradV2(
                var=variable.value.handle,
                accum=square.handle,
                lr=tf.cast(rate, kind) * tf.sqrt(left_2) / left_1,
                epsilon=tf.cast(self.epsilon, kind),
                grad=mean,
                update_slots=False,
            )


def _approach(variable: Any, value: Any, share: float) -> None:
    """Moves a variable of TensorFlow a share of the way to a value."""
    import tensorflow as tf

    tf.raw_ops.ResourceApplyGradientDescent(
        var=variable.handle, alpha=tf.cast(-share, variable.dtype), delta=value - variable
    )
