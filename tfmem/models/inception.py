"""The small Inception for images of MNIST's and CIFAR's size."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.config import InceptionSettings
from tfmem.models.layers import convolve, normalize_relu

# For each stage, filters of the 1x1 and the 3x3 branch of its blocks.
_STAGES = (
    ((32, 32), (32, 48)),
    ((112, 48), (96, 64), (80, 80), (48, 96)),
    ((176, 160), (176, 160)),
)
_DOWNSAMPLED = (160, 240)  # channels after the first and the second stage


def build_inception(
    settings: InceptionSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds three stages of two-branch blocks; each stage halves height and width.

    With `pooling: max` this is the network that Feldman & Zhang (2020) released: a stage ends in a
    3x3 convolution of stride 2 with 160 or 240 filters, and the last stage in global max pooling.
    With `pooling: mean` it is the network of Zhang et al. (2017, "Understanding deep learning
    requires rethinking generalization", App. A, Fig. 3): a stage ends in a 3x3 convolution (80 or
    96 filters) beside 3x3 max pooling (80 or 144 channels), both of stride 2, so that the widths
    are 160 and 240 as well; the last stage ends in global mean pooling.

    Every convolution is SAME, without bias, and followed by batch normalization and ReLU. Kernels
    start as in the released code (`lecun_normal`). That code averages batch statistics more slowly
    (0.999, with a correction at the start) than all networks here (0.9).

    Args:
      settings: how the last feature map is pooled.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      `features` is the pooled map, `[batch, 336]`.
    """
    inputs = keras.Input(input_shape)
    x = _conv(inputs, 96, 3)
    for number, blocks in enumerate(_STAGES):
        for narrow, wide in blocks:
            x = keras.layers.Concatenate()([_conv(x, narrow, 1), _conv(x, wide, 3)])
        if number < len(_DOWNSAMPLED):
            x = _downsample(x, _DOWNSAMPLED[number], settings.pooling)
    if settings.pooling == "max":
        x = keras.layers.GlobalMaxPooling2D(name="features")(x)
    else:
        x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer="lecun_normal", name="logits", dtype="float32"
    )(x)
    return keras.Model(inputs, logits, name="inception")


def _downsample(x: Any, channels: int, pooling: str) -> Any:
    if pooling == "max":
        return _conv(x, channels, 3, strides=2)
    pooled = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
    convolved = _conv(x, channels - x.shape[-1], 3, strides=2)
    return keras.layers.Concatenate()([convolved, pooled])


def _conv(x: Any, filters: int, size: int, strides: int = 1) -> Any:
    return normalize_relu(convolve(x, filters, size, strides))
