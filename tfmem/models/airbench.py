"""The networks that train fastest on CIFAR-10 of all that are published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfmem.config import AirbenchSettings
from tfmem.models.layers import convolve
from tfmem.models.normalization import BatchNormalization
from tfmem.models.whitening import Whitening

_SCALE = 1 / 9  # of logits
_RATE = 64  # by which the learning rate of offsets exceeds that of kernels


@keras.saving.register_keras_serializable("tfmem")
class PartlyIdentity(keras.initializers.VarianceScaling):
    """PyTorch's initial values, but the first filters of a convolution pass their channel on.

    The values are uniform with variance `1 / (3 fan_in)`. Filter `k`, for each input channel `k`,
    is the identity (Jordan 2024, Sec. 3.3).
    """

    def __init__(self, seed: int | None = None) -> None:
        """Takes a seed, as Keras' initializers do."""
        super().__init__(1 / 3, "fan_in", "uniform", seed)

    def __call__(self, shape: Sequence[int], dtype: Any = None) -> Any:
        """Draws a kernel `[height, width, channels, filters]`."""
        drawn = keras.ops.convert_to_numpy(super().__call__(shape, dtype))
        return keras.ops.convert_to_tensor(self.with_identity(drawn))

    @staticmethod
    def with_identity(kernel: np.ndarray) -> np.ndarray:
        """Drawn kernels, `[..., height, width, channels, filters]`, whose first are identities."""
        height, width, channels, filters = kernel.shape[-4:]
        changed = kernel.copy()
        passed = np.arange(min(channels, filters))
        changed[..., passed] = 0
        changed[..., height // 2, width // 2, passed, passed] = 1
        return changed

    def get_config(self) -> dict[str, Any]:
        """The argument with which an equal initializer is made."""
        return {"seed": super().get_config()["seed"]}


@keras.saving.register_keras_serializable("tfmem")
class Offset(keras.layers.Layer):
    """Adds a trained number to each channel, which learns 64 times as fast as other weights.

    It keeps the number divided by 8, and multiplies by 8 whatever the gradient moves: one factor of
    8 for the gradient, and one for the step.
    """

    def build(self, input_shape: Sequence[int]) -> None:
        """Makes the numbers, `[channels]`."""
        self.offset_initializer = keras.initializers.Zeros()
        self.offset = self.add_weight((input_shape[-1],), initializer="zeros", name="offset")

    def call(self, inputs: Any) -> Any:
        """Adds to the last axis."""
        return inputs + _RATE**0.5 * self.offset


def build_airbench(
    settings: AirbenchSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """The networks of airbench94 and airbench96 (Jordan 2024, Sec. 3 and "96%").

    Whitened patches of 2x2 pixels and GELU come first. Three groups follow, which begin with a 3x3
    convolution without bias, 2x2 max pooling, normalization and GELU. In airbench94, whose groups
    have widths `w`, `4w`, `4w`, the same without pooling follows; in airbench96 (`w`, `3w`, `4w`)
    the same twice, with a shortcut from before the two to the last GELU. Global max pooling and a
    linear layer without bias end the network, whose outputs are divided by 9; here its inputs are
    divided, which is the same. Normalization has no scale. `tfmem.models.whitening.adapt` takes the
    statistics for the first layer.

    An image of CIFAR takes 0.12 G multiply-adds in airbench94 (`w` is 64), a third of what ResNet-9
    takes, and 0.45 G in airbench96 (128).

    Args:
      settings: width `w`, and the number of convolutions in a group.
      input_shape: `[height, width, channels]` of one image.
      num_classes: number of logits.

    Returns:
      A functional model from `[batch, height, width, channels]` to logits `[batch, num_classes]`;
      `features` is the max-pooled map divided by 9, float32 `[batch, 4w]`.
    """
    deep = settings.convolutions == 3
    inputs = keras.Input(input_shape)
    x = _gelu(Whitening(2)(inputs))
    for factor in (1, 3 if deep else 4, 4):
        filters = factor * settings.width
        x = keras.layers.MaxPooling2D(2)(_convolve(x, filters))
        before = _gelu(_normalize(x, deep))
        x = _normalize(_convolve(before, filters), deep)
        if deep:
            x = _normalize(_convolve(_gelu(x), filters), deep)
            x = keras.layers.Add()([before, x])
        x = _gelu(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.Rescaling(_SCALE, name="features", dtype="float32")(x)
    logits = keras.layers.Dense(
        num_classes,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform"),
        name="logits",
        dtype="float32",
    )(x)
    return keras.Model(inputs, logits, name="airbench")


def _convolve(x: Any, filters: int) -> Any:
    return convolve(x, filters, 3, initializer=PartlyIdentity())


def _normalize(x: Any, deep: bool) -> Any:
    layer = BatchNormalization(
        momentum=0.9 if deep else 0.6, epsilon=1e-5, center=False, scale=False
    )
    return Offset()(layer(x))


def _gelu(x: Any) -> Any:
    return keras.layers.Activation("gelu")(x)
