"""A small convolutional network for small images."""

from __future__ import annotations

import keras

from tfmem.config import CnnSettings


def build_cnn(settings: CnnSettings, input_shape: tuple[int, ...], num_classes: int) -> keras.Model:
    """Blocks of convolution, ReLU and max pooling, then one hidden layer.

    Args:
      settings: filters of each block and width of the hidden layer.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      the hidden layer is called `features`.
    """
    inputs = x = keras.Input(input_shape)
    for filters in settings.filters:
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = keras.layers.MaxPooling2D(2, padding="same")(x)
    x = keras.layers.Flatten()(x)
    x = keras.layers.Dense(settings.hidden, activation="relu", name="features")(x)
    logits = keras.layers.Dense(num_classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="cnn")
