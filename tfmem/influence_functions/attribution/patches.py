"""Splits images into square patches."""

from __future__ import annotations

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from tfmem.influence_functions.attribution.integral import Parts
from tfmem.influence_functions.attribution.needs import check_patch

Baseline = Literal["black", "mean"]


class Patches:
    """Splits images into patches, row by row from the upper left; see `Splitter`."""

    def __init__(
        self, model: keras.Model, images: np.ndarray, patch: int = 2, baseline: Baseline = "black"
    ) -> None:
        """Lays the grid of patches.

        Args:
          model: a model of images.
          images: its training examples, as it takes them, `[n, height, width, channels]`.
          patch: side of a patch in pixels; the last patches of a row or column may be smaller.
          baseline: whether the baseline is an image of zeros, or the mean of all images.

        Raises:
          InputError: if examples are not images, or not larger than a patch.
        """
        check_patch(images.shape, patch)
        height, width = images.shape[1:3]
        self._model = model
        self._images = images
        self.signature = tf.TensorSpec(images.shape[1:], images.dtype)
        self._baseline = np.zeros_like(images[0])
        if baseline == "mean":
            self._baseline = images.mean(axis=0).astype(images.dtype)
        self._shape = (-(-height // patch), -(-width // patch))
        rows, columns = np.arange(height) // patch, np.arange(width) // patch
        self._patches = rows[:, None] * self._shape[1] + columns  # the patch of each pixel

    def parts(self, example: int) -> Parts:
        """See `Splitter.parts`."""
        image = self._images[example]
        return Parts(self._shape, tf.constant(image), image.size)

    def logits(self, weights: tf.Tensor, tensors: Any) -> tf.Tensor:
        """See `Splitter.logits`."""
        shares = tf.gather(weights, self._patches, axis=1)[..., None]
        return self._model(self._baseline + shares * (tensors - self._baseline), training=False)
