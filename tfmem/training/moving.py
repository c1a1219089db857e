"""Random crops and flips of images in TensorFlow's programs."""

from __future__ import annotations

import tensorflow as tf


def move(images: tf.Tensor, moves: tf.Tensor, pad: int) -> tf.Tensor:
    """Pads images with zeros, then crops and mirrors them.

    Args:
      images: `[batch, height, width, channels]`.
      moves: int32 `[batch, 3]`, as `draw_moves` returns them.
      pad: number of zeros on each side.

    Returns:
      Images of the same shape and type.
    """
    height, width = images.shape[1:3]
    padded = tf.pad(images, [[0, 0], [pad, pad], [pad, pad], [0, 0]])
    down, right, mirrored = (moves[:, i : i + 1] for i in range(3))
    columns = tf.range(width)
    columns = right + tf.where(mirrored == 1, width - 1 - columns, columns)
    rows = tf.gather(padded, down + tf.range(height), axis=1, batch_dims=1)
    return tf.gather(rows, columns, axis=2, batch_dims=1)
