"""A first layer that whitens small patches of images, with statistics of the data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

_IMAGES = 2000  # examples that decide the statistics
_LEAST = 5e-4  # variance that is added to that of each direction (Jordan 2024)
_FLAT = 1e-3  # least standard deviation of a channel


@keras.saving.register_keras_serializable("tfmem")
class Whitening(keras.layers.Layer):
    """Projects patches onto the principal directions of all patches, scaled to variance 1.

    Page (2018) and Jordan (2024, "94% on CIFAR-10 in 3.29 seconds", Sec. 3.2) begin their fastest
    networks with it. Each direction appears twice, with both signs, because an activation follows.
    Only the bias is trained. Until `adapt` was called, the directions are the pixels of a patch.
    """

    def __init__(self, size: int = 2, **settings: Any) -> None:
        """Takes the side of a patch, in pixels, and Keras' settings of a layer."""
        super().__init__(**settings)
        self.size = size
        self.bias_initializer = keras.initializers.Zeros()
        self._constants: tuple[np.ndarray, np.ndarray] | None = None

    def build(self, input_shape: Sequence[int]) -> None:
        """Makes directions, `[size, size, channels, 2 * size * size * channels]`, and biases."""
        channels = input_shape[-1]
        count = self.size**2 * channels
        pixels = np.eye(count, dtype=np.float32), np.zeros(count, np.float32)
        self._take(*(self._constants or pixels))
        self.directions = self.add_weight(
            (self.size, self.size, channels, 2 * count),
            initializer=self.directions_initializer,
            trainable=False,
            name="directions",
        )
        self.shift = self.add_weight(
            (2 * count,), initializer=self.shift_initializer, trainable=False, name="shift"
        )
        self.bias = self.add_weight((2 * count,), initializer="zeros", name="bias")

    def adapt(self, images: np.ndarray, white: float = 1.0) -> None:
        """Takes the principal directions of the patches of some examples.

        Args:
          images: all training examples, `[n, height, width, channels]`, of which at most 2,000 are
            taken, at equal distances.
          white: value by which they are divided before the model sees them.
        """
        rows = np.unique(np.linspace(0, len(images) - 1, _IMAGES).astype(int))
        some = np.asarray(images[rows], np.float64) / white
        mean = some.mean((0, 1, 2))
        scale = 1 / np.maximum(some.std((0, 1, 2)), _FLAT)
        windows = np.lib.stride_tricks.sliding_window_view(
            (some - mean) * scale, (self.size, self.size), (1, 2)
        )
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, self.size**2 * some.shape[-1])
        variances, directions = np.linalg.eigh(patches.T @ patches / len(patches))
        directions = directions[:, ::-1] / np.sqrt(np.maximum(variances[::-1], 0) + _LEAST)
        kernel = directions * np.tile(scale, self.size**2)[:, None]
        shift = -np.tile(mean, self.size**2) @ kernel
        self._constants = kernel.astype(np.float32), shift.astype(np.float32)
        if self.built:
            self._take(*self._constants)
            self.directions.assign(self.directions_initializer(self.directions.shape))
            self.shift.assign(self.shift_initializer(self.shift.shape))

    def _take(self, kernel: np.ndarray, shift: np.ndarray) -> None:
        """Makes initializers of a kernel `[patch, directions]` and a shift, and their negatives."""
        both = np.hstack([kernel, -kernel]).reshape(self.size, self.size, -1, 2 * len(shift))
        self.directions_initializer = keras.initializers.Constant(both)
        self.shift_initializer = keras.initializers.Constant(np.hstack([shift, -shift]))

    def call(self, inputs: Any) -> Any:
        """Whitens `[batch, height, width, channels]`; both sides shrink by `size - 1`."""
        return keras.ops.conv(inputs, self.directions) + (self.shift + self.bias)

    def compute_output_shape(self, input_shape: Sequence[int | None]) -> tuple[int | None, ...]:
        """Shape of the outputs for inputs of a shape."""
        batch, height, width, channels = input_shape
        sides = (side and side - self.size + 1 for side in (height, width))
        return batch, *sides, 2 * self.size**2 * (channels or 0)

    def get_config(self) -> dict[str, Any]:
        """The arguments with which an equal layer is made, before it is adapted."""
        return {**super().get_config(), "size": self.size}


def is_adaptable(model: keras.Model) -> bool:
    """Whether a model has layers that take statistics of the training examples."""
    return any(isinstance(layer, Whitening) for layer in model.layers)


def adapt(model: keras.Model, images: np.ndarray, white: float = 1.0) -> None:
    """Adapts the layers of a model that take statistics of the training examples.

    Args:
      model: a built model, which is changed.
      images: all training examples, `[n, ...]`.
      white: value by which they are divided before the model sees them.
    """
    for layer in model.layers:
        if isinstance(layer, Whitening):
            layer.adapt(images, white)
