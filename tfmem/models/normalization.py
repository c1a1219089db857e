"""Batch normalization by TensorFlow's own operation.

Keras composes it of a dozen elementary operations, each a pass over memory, which takes half of the
time of a narrow convolutional network.
"""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("tfmem")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization of the last axis of images.

    Attributes:
      fused: whether TensorFlow's own operation is used. Results and moving statistics are the same
        up to rounding, but the operation has no float64.
    """

    fused = False

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes `inputs`, `[batch, height, width, channels]`."""
        if not self.fused:
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        learning = bool(training and self.trainable)
        channels = inputs.shape[-1:]
        # In 16 bits the operation is fast only on GPUs; it keeps statistics in float32 everywhere.
        x = inputs if tf.config.list_physical_devices("GPU") else tf.cast(inputs, tf.float32)
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(self.gamma) if self.scale else tf.ones(channels),
            offset=tf.convert_to_tensor(self.beta) if self.center else tf.zeros(channels),
            mean=tf.zeros([0]) if learning else tf.convert_to_tensor(self.moving_mean),
            variance=tf.zeros([0]) if learning else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)
            variance = (
                normalized.batch_variance * (count - 1.0) / count
            )  # undoes the operation's correction of bias
            for moving, value in (
                (self.moving_mean, normalized.batch_mean),
                (self.moving_variance, variance),
            ):
                moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return tf.cast(normalized.y, self.compute_dtype)


def fuse_batch_normalization(model: keras.Model) -> keras.Model:
    """Makes a model of this package normalize batches by TensorFlow's own operation, if it runs.

    Args:
      model: a built model, whose layers are changed.

    Returns:
      The same model.
    """
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.fused = keras.config.backend() == "tensorflow"
    return model
