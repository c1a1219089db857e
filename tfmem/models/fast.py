"""A residual network of nine layers that trains on CIFAR in a few epochs."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.config import FastSettings
from tfmem.models.layers import convolve, normalize_relu

# The published learning rate was tuned with PyTorch's default: uniform with variance 1/(3 n).
_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 1 / 3, "mode": "fan_in", "distribution": "uniform"},
}


def build_fast(
    settings: FastSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """ResNet-9 (Page 2018, "How to train your ResNet", final network of the series' part 4).

    Estimates need thousands of models, so the cost of one decides what can be studied. At width 64
    this network takes 0.38 G multiply-adds for an image, and 24 epochs to reach 94% on CIFAR-10
    (Page), 23 times less than ResNet50, which takes 1.30 G and 160 epochs in Feldman & Zhang
    (2020). Variants of it are FFCV's example for CIFAR and the model of Ilyas et al. (2022,
    "Datamodels"), who trained hundreds of thousands.

    A layer is a 3x3 convolution without bias, batch normalization and ReLU. The layers have these
    widths: `w`; `2w`, 2x2 max pooling, a residual pair; `4w`, pooling; `8w`, pooling, a residual
    pair. Global max pooling and a linear layer without bias follow. Page divides the logits by 8;
    here their inputs are divided, which is the same.

    Args:
      settings: width `w`.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      `features` is the max-pooled map divided by 8, float32 `[batch, 8w]`.
    """
    width = settings.width
    inputs = keras.Input(input_shape)
    x = _conv(inputs, width)
    x = _residual(_pool(_conv(x, 2 * width)))
    x = _pool(_conv(x, 4 * width))
    x = _residual(_pool(_conv(x, 8 * width)))
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.Rescaling(0.125, name="features", dtype="float32")(x)
    logits = keras.layers.Dense(
        num_classes,
        use_bias=False,
        kernel_initializer=_INITIALIZER,
        name="logits",
        dtype="float32",
    )(x)
    return keras.Model(inputs, logits, name="fast")


def _residual(x: Any) -> Any:
    filters = x.shape[-1]
    return keras.layers.Add()([x, _conv(_conv(x, filters), filters)])


def _pool(x: Any) -> Any:
    return keras.layers.MaxPooling2D(2)(x)


def _conv(x: Any, filters: int) -> Any:
    return normalize_relu(convolve(x, filters, 3, initializer=_INITIALIZER))
