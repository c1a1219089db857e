"""Keras models, one file a family; each returns logits and names a layer `features`.

This room knows neither data sets nor training.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from tfmem.config import (
    AirbenchSettings,
    CnnSettings,
    DecoderSettings,
    DenseNetSettings,
    DenseSettings,
    EncoderSettings,
    FastSettings,
    InceptionSettings,
    LinearSettings,
    ModelSettings,
    ResNetSettings,
    TailSettings,
    TransformerSettings,
)
from tfmem.messages.errors import InputError
from tfmem.models.airbench import build_airbench
from tfmem.models.cnn import build_cnn
from tfmem.models.dense import build_dense
from tfmem.models.densenet import build_densenet
from tfmem.models.encoder import build_encoder
from tfmem.models.fast import build_fast
from tfmem.models.inception import build_inception
from tfmem.models.linear import build_linear
from tfmem.models.resnet import build_resnet
from tfmem.models.tails import tail
from tfmem.models.transformer import build_decoder, build_transformer

__all__ = ["build"]

_BUILDERS: dict[type, Callable[..., keras.Model]] = {
    DenseSettings: build_dense,
    CnnSettings: build_cnn,
    InceptionSettings: build_inception,
    ResNetSettings: build_resnet,
    DenseNetSettings: build_densenet,
    FastSettings: build_fast,
    AirbenchSettings: build_airbench,
    LinearSettings: build_linear,
    EncoderSettings: build_encoder,
    TransformerSettings: build_transformer,
}


def build(
    settings: ModelSettings,
    input_shape: tuple[int, ...],
    num_classes: int,
    precision: str = "float32",
    packed: bool = False,
) -> keras.Model:
    """Builds the model that `settings` names.

    Args:
      settings: family and sizes.
      input_shape: shape of one example; settings for the last blocks of a network hold their own.
      num_classes: number of logits, of each token for a `decoder`.
      precision: Keras' dtype policy for all layers but the logits, which are float32.
      packed: whether a `decoder` reads windows of several texts.

    Returns:
      A functional model that returns logits `[batch, num_classes]`, or `[batch, length,
      num_classes]` of a `decoder`, and whose penultimate
      representation is the output of the layer `features`; the last block alone has no such layer.

    Raises:
      InputError: if the model needs images or texts but examples are something else or too small.
    """
    if isinstance(settings, TailSettings):
        network = build(settings.network, settings.input_shape, num_classes, precision)
        return tail(network, settings.depth)
    _check_shape(settings, input_shape)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        if isinstance(settings, DecoderSettings):
            return build_decoder(settings, input_shape, num_classes, packed)
        return _BUILDERS[type(settings)](settings, input_shape, num_classes)
    finally:
        keras.config.set_dtype_policy(before)


def _check_shape(settings: ModelSettings, shape: tuple[int, ...]) -> None:
    if isinstance(settings, EncoderSettings | TransformerSettings | DecoderSettings):
        with_width = isinstance(settings, EncoderSettings) and settings.trained_layers
        if len(shape) != (2 if with_width else 1):
            raise InputError(
                f"model.name: {settings.name} takes texts, received examples of shape {list(shape)}"
            )
    least = _smallest_side(settings)
    if least and (len(shape) != 3 or min(shape[:2]) < least):
        raise InputError(
            f"model.name: {settings.name} takes images [height, width, channels] of at least "
            f"{least} x {least} pixels, received examples of shape {list(shape)}"
        )


def _smallest_side(settings: ModelSettings) -> int:
    """The least side of an image, in pixels; 0 if examples may have any shape."""
    match settings:
        case DenseSettings() | LinearSettings():
            return 0
        case EncoderSettings() | TransformerSettings() | DecoderSettings():
            return 0
        case ResNetSettings(variant="imagenet"):
            return 32
        case AirbenchSettings():
            return 9
        case ResNetSettings() | FastSettings():
            return 8
        case InceptionSettings() | DenseNetSettings():
            return 4
    return 1
