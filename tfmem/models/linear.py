"""A linear classifier, for features that another model has computed."""

from __future__ import annotations

import keras

from tfmem.config import LinearSettings


def build_linear(
    settings: LinearSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds multinomial logistic regression that starts from 0 (Feldman & Zhang 2020, Sec. 3).

    Args:
      settings: holds no sizes.
      input_shape: shape of one example; more than one dimension is flattened.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, *input_shape]` to logits `[batch, num_classes]`; `features`
      is the flattened input, kept in float32 in every precision.
    """
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten(name="features", dtype="float32")(inputs)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer="zeros", name="logits", dtype="float32"
    )(x)
    return keras.Model(inputs, logits, name="linear")
