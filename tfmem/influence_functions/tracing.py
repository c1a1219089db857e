"""Two operations of TensorFlow that are replaced while derivatives are traced."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

_matmul = tf.matmul


@contextmanager
def safe_derivatives() -> Iterator[None]:
    """Traces models in such a way that per-example and second derivatives are right.

    Keras' LayerNormalization uses `tf.nn.moments`, which hides the mean from the gradient of the
    variance. First derivatives stay right, but second ones are wrong, by a fifth where it was
    noticed. Keras' attention multiplies a batch of one by a plain matrix with `tf.matmul`, which
    corrupts memory when it is vectorized (TensorFlow 2.21 with oneDNN, its issue 123109).
    """
    originals = tf.nn.moments, tf.matmul
    tf.nn.moments, tf.matmul = _full_moments, _folded_matmul
    try:
        yield
    finally:
        tf.nn.moments, tf.matmul = originals


def _full_moments(
    x: tf.Tensor, axes: int | Sequence[int], keepdims: bool = False
) -> tuple[tf.Tensor, tf.Tensor]:
    mean = tf.reduce_mean(x, axes, keepdims=True)
    variance = tf.reduce_mean(tf.square(x - mean), axes, keepdims=keepdims)
    return mean if keepdims else tf.reshape(mean, tf.shape(variance)), variance


def _folded_matmul(a: Any, b: Any, *args: Any, **options: Any) -> tf.Tensor:
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    plain = not args and not any(options.values())  # Keras passes the type of the result as None
    if len(a.shape) > 2 and len(b.shape) == 2 and plain:
        return tf.tensordot(a, b, 1)  # one product of two matrices, without a batch
    return _matmul(a, b, *args, **options)
