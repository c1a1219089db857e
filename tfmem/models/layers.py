"""Layers that several families of convolutional networks share."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.models.normalization import BatchNormalization


def convolve(
    x: Any,
    filters: int,
    size: int,
    strides: int = 1,
    padding: str = "same",
    initializer: str | dict[str, Any] = "lecun_normal",
) -> Any:
    """Applies a convolution without bias.

    The default initializer is that of Sonnet, in which the released models are written: a truncated
    normal distribution of variance `1 / fan_in`.
    """
    layer = keras.layers.Conv2D(
        filters, size, strides, padding, use_bias=False, kernel_initializer=initializer
    )
    return layer(x)


def normalize(x: Any, gamma: str = "ones") -> Any:
    """Normalizes batches with the constants of all networks here; `gamma` names an initializer."""
    layer = BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=gamma)
    return layer(x)


def normalize_relu(x: Any) -> Any:
    """Applies batch normalization, then ReLU."""
    return keras.layers.ReLU()(normalize(x))
