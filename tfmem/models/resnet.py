"""Residual networks: pre-activation for CIFAR, V1 for ImageNet."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.config import ResNetSettings
from tfmem.models.layers import convolve, normalize, normalize_relu

_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}  # blocks in the stages of width 64, 128, 256, 512


def build_resnet(
    settings: ResNetSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds the residual networks of Feldman & Zhang (2020, App. B), as in their released code.

    `cifar` is pre-activation (He et al. 2016, "Identity mappings in deep residual networks"): a 3x3
    convolution is followed by stages whose first block projects the shortcut, which is taken after
    normalization and ReLU. The released basic block (depth 18) begins with a 1x1 convolution; here
    it has two 3x3 convolutions, as everywhere else.

    `imagenet` is V1 (He et al. 2016, "Deep residual learning", Table 1): a 7x7 convolution and max
    pooling are followed by blocks with ReLU after the sum, whose last scale starts at 0 (Goyal et
    al. 2017, Sec. 5.1). The bottleneck's stride is on its 3x3 convolution ("V1.5"), as in Sonnet's
    network, which the authors used.

    Convolutions have no bias; those of stride 2 pad both sides alike. Kernels start as in Sonnet
    (`lecun_normal`), those of the last layer at 0. `keras.applications.ResNet50` is not used,
    because it has biases, other constants of normalization, strides on 1x1 convolutions and no
    scales at 0.

    Args:
      settings: depth and variant.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      `features` is the mean-pooled map, `[batch, 512]` (18) or `[batch, 2048]` (50).
    """
    inputs = keras.Input(input_shape)
    body = _cifar if settings.variant == "cifar" else _imagenet
    x = body(inputs, settings.depth)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer="zeros", name="logits", dtype="float32"
    )(x)
    return keras.Model(inputs, logits, name="resnet")


def _cifar(x: Any, depth: int) -> Any:
    x = convolve(x, 64, 3)
    for stage, blocks in enumerate(_BLOCKS[depth]):
        for block in range(blocks):
            x = _block_v2(x, depth, stage, first=block == 0)
    return normalize_relu(x)


def _block_v2(x: Any, depth: int, stage: int, first: bool) -> Any:
    layers, strides = _layers(depth, stage, first)
    shortcut, x = x, normalize_relu(x)
    if first:
        shortcut = _conv(x, layers[-1][0], 1, strides)
    x = _conv(x, *layers[0])
    for layer in layers[1:]:
        x = _conv(normalize_relu(x), *layer)
    return keras.layers.Add()([shortcut, x])


def _imagenet(x: Any, depth: int) -> Any:
    x = normalize_relu(_conv(x, 64, 7, 2))
    x = keras.layers.MaxPooling2D(3, strides=2, padding="same")(x)
    for stage, blocks in enumerate(_BLOCKS[depth]):
        for block in range(blocks):
            x = _block_v1(x, depth, stage, first=block == 0)
    return x


def _block_v1(x: Any, depth: int, stage: int, first: bool) -> Any:
    layers, strides = _layers(depth, stage, first)
    shortcut = x
    if strides > 1 or x.shape[-1] != layers[-1][0]:
        shortcut = normalize(_conv(x, layers[-1][0], 1, strides))
    for layer in layers[:-1]:
        x = normalize_relu(_conv(x, *layer))
    x = normalize(_conv(x, *layers[-1]), gamma="zeros")
    return keras.layers.ReLU()(keras.layers.Add()([shortcut, x]))


def _layers(depth: int, stage: int, first: bool) -> tuple[list[tuple[int, int, int]], int]:
    """Filters, size and strides of each convolution of a block, and the strides of the block."""
    width, strides = 64 * 2**stage, 2 if first and stage > 0 else 1
    if depth == 18:
        return [(width, 3, strides), (width, 3, 1)], strides
    return [(width, 1, 1), (width, 3, strides), (4 * width, 1, 1)], strides


def _conv(x: Any, filters: int, size: int, strides: int) -> Any:
    """Applies a convolution that pads both sides alike; SAME pads the end more at stride 2."""
    if strides == 1 or size == 1:
        return convolve(x, filters, size, strides)
    x = keras.layers.ZeroPadding2D(size // 2)(x)
    return convolve(x, filters, size, strides, padding="valid")
