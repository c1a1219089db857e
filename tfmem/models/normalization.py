"""Batch normalization as the one operation that TensorFlow has for it.

Keras puts it together from a dozen elementary operations, each a pass over memory, which is half of
the time of a narrow convolutional network.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("tfmem")
class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalization of the last axis of images, with scale and center.

    Attributes:
      fused: whether TensorFlow's own operation computes it. Results are the same up to rounding,
        also the moving statistics, but it has no float64.
    """

    fused = False

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> Any:
        """Normalizes `inputs`, `[batch, height, width, channels]`."""
        if not self.fused:
            return super().call(inputs, training=training, mask=mask)
        learning = bool(training and self.trainable)
        # In 16 bits the operation is fast on GPUs only; it keeps statistics in float32 everywhere.
        x = inputs if _has_gpu() else tf.cast(inputs, tf.float32)
        normalized = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=tf.convert_to_tensor(self.gamma),
            offset=tf.convert_to_tensor(self.beta),
            mean=tf.zeros([0]) if learning else tf.convert_to_tensor(self.moving_mean),
            variance=tf.zeros([0]) if learning else tf.convert_to_tensor(self.moving_variance),
            epsilon=self.epsilon,
            is_training=learning,
        )
        if learning:
            count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)
            variance = normalized.batch_variance * (count - 1.0) / count  # it is the unbiased one
            for moving, value in (
                (self.moving_mean, normalized.batch_mean),
                (self.moving_variance, variance),
            ):
                moving.assign(moving * self.momentum + value * (1.0 - self.momentum))
        return tf.cast(normalized.y, self.compute_dtype)


def fuse_batch_normalization(model: keras.Model) -> keras.Model:
    """Makes a model of this package normalize batches with TensorFlow's own operation.

    Args:
      model: a built model; its layers are changed.

    Returns:
      The model.
    """
    for layer in model.layers:
        if isinstance(layer, BatchNormalization):
            layer.fused = True
    return model


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
