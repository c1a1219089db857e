"""Fully connected networks, as in the authors' MNIST demonstration (784-512-256-10)."""

from __future__ import annotations

import keras

from tfmem.config import DenseSettings


def build_dense(
    settings: DenseSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """A ReLU network on flattened inputs.

    Args:
      settings: widths of the hidden layers.
      input_shape: shape of one example.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, *input_shape]` to logits `[batch, num_classes]`; the last
      hidden layer is called `features`.
    """
    inputs = keras.Input(input_shape)
    x = keras.layers.Flatten()(inputs)
    *widths, last = settings.hidden
    for width in widths:
        x = keras.layers.Dense(width, activation="relu")(x)
    x = keras.layers.Dense(last, activation="relu", name="features")(x)
    logits = keras.layers.Dense(num_classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="dense")
