"""Batch normalization as the one operation that TensorFlow has for it.

Keras puts it together from a dozen elementary operations, each a pass over memory, which is half of
the time of a narrow convolutional network.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import keras
import tensorflow as tf


def fuse_batch_normalization(model: keras.Model) -> keras.Model:
    """Makes a model's layers normalize batches of images with TensorFlow's own operation.

    Results are the same up to rounding, also the moving statistics. Layers with other settings than
    the models of this package have are left alone.

    Args:
      model: a built model; its layers are changed.

    Returns:
      The model.
    """
    for layer in model._flatten_layers():
        if type(layer) is keras.layers.BatchNormalization and _is_plain(layer):
            layer.call = MethodType(_call, layer)
    return model


def _is_plain(layer: Any) -> bool:
    rank = len(layer.input.shape)
    return (
        rank == 4
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.synchronized
        and not getattr(layer, "renorm", False)
    )


def _call(layer: Any, inputs: tf.Tensor, training: bool | None = None, mask: Any = None) -> Any:
    del mask
    learning = bool(training and layer.trainable)
    # In 16 bits the operation is fast on GPUs only; it keeps statistics in float32 everywhere.
    x = inputs if _has_gpu() else tf.cast(inputs, tf.float32)
    normalized = tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=tf.convert_to_tensor(layer.gamma),
        offset=tf.convert_to_tensor(layer.beta),
        mean=tf.zeros([0]) if learning else tf.convert_to_tensor(layer.moving_mean),
        variance=tf.zeros([0]) if learning else tf.convert_to_tensor(layer.moving_variance),
        epsilon=layer.epsilon,
        is_training=learning,
    )
    if learning:
        count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), tf.float32)
        variance = normalized.batch_variance * (count - 1.0) / count  # it is the unbiased one
        for moving, value in (
            (layer.moving_mean, normalized.batch_mean),
            (layer.moving_variance, variance),
        ):
            moving.assign(moving * layer.momentum + value * (1.0 - layer.momentum))
    return tf.cast(normalized.y, layer.compute_dtype)


def _has_gpu() -> bool:
    return bool(tf.config.list_physical_devices("GPU"))
