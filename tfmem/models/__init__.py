"""Keras models, one file a family. Every model returns logits and names a layer `features`."""

from __future__ import annotations

import keras

from tfmem.config import DenseSettings, ModelSettings
from tfmem.models.cnn import build_cnn
from tfmem.models.dense import build_dense

__all__ = ["build"]


def build(
    settings: ModelSettings,
    input_shape: tuple[int, ...],
    num_classes: int,
    precision: str = "float32",
) -> keras.Model:
    """Builds the model that the settings name.

    Args:
      settings: family and sizes.
      input_shape: shape of one example.
      num_classes: number of logits.
      precision: Keras' dtype policy for all layers but the logits, which are float32.

    Returns:
      A functional model that returns logits `[batch, num_classes]` and whose penultimate
      representation is the output of the layer `features`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        if isinstance(settings, DenseSettings):
            return build_dense(settings, input_shape, num_classes)
        return build_cnn(settings, input_shape, num_classes)
    finally:
        keras.config.set_dtype_policy(before)
