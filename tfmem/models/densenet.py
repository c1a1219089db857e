"""Densely connected networks for CIFAR (Huang et al. 2017)."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.config import DenseNetSettings
from tfmem.models.layers import convolve, normalize_relu


def build_densenet(
    settings: DenseNetSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds three dense blocks, joined by 1x1 convolution and 2x2 mean pooling.

    The network is that of Huang et al. (2017, "Densely connected convolutional networks", Sec. 3).
    The plain network starts with 16 filters, and its transitions keep the width. BC starts with
    2 `growth` filters, each of its layers is a 1x1 convolution to 4 `growth` channels and then a
    3x3 one, and its transitions halve the width. Every convolution but the first follows batch
    normalization and ReLU, and none has a bias; kernels start as `he_normal` (Sec. 4.2). There is
    no dropout, which the paper uses only if images are not augmented.

    Args:
      settings: depth, growth rate and variant.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      `features` is the mean-pooled map.
    """
    growth, bottleneck = settings.growth, settings.bottleneck
    layers = (settings.depth - 4) // (6 if bottleneck else 3)
    inputs = keras.Input(input_shape)
    x = _conv(inputs, 2 * growth if bottleneck else 16, 3)
    for block in range(3):
        if block > 0:
            x = _conv(normalize_relu(x), x.shape[-1] // (2 if bottleneck else 1), 1)
            x = keras.layers.AveragePooling2D(2)(x)
        for _ in range(layers):
            new = normalize_relu(x)
            if bottleneck:
                new = normalize_relu(_conv(new, 4 * growth, 1))
            x = keras.layers.Concatenate()([x, _conv(new, growth, 3)])
    x = keras.layers.GlobalAveragePooling2D(name="features")(normalize_relu(x))
    logits = keras.layers.Dense(num_classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="densenet")


def _conv(x: Any, filters: int, size: int) -> Any:
    return convolve(x, filters, size, initializer="he_normal")
