"""The last layers of a pretrained text encoder, and a new head."""

from __future__ import annotations

import keras

from tfmem.config import EncoderSettings
from tfmem.encoders.pretrained import load_encoder
from tfmem.models.transformer import transformer_layer


def build_encoder(
    settings: EncoderSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds the trained layers of a pretrained encoder, and a head on the first token, [CLS].

    In every trial the layers start from the pretrained weights, and the head is drawn anew. As the
    head reads only the first token, the last layer computes only the vector of that token.

    Args:
      settings: the encoder, and the number of its layers that are trained.
      input_shape: `[length, width]`, or `[width]` if no layer is trained.
      num_classes: number of logits.

    Returns:
      A functional model from activations of the frozen layers, `[batch, *input_shape]` with zeros
      where there is no token, to logits `[batch, num_classes]`; `features` is the last vector of
      the first token, float32 `[batch, width]`.
    """
    x = inputs = keras.Input(input_shape)
    if settings.trained_layers:
        real = keras.ops.any(keras.ops.not_equal(inputs, 0), axis=-1)
        layers = load_encoder(settings.preset).layers
        first = len(layers) - settings.trained_layers
        for number in range(first, len(layers)):
            last = number == len(layers) - 1
            x = transformer_layer(x, real, f"layer_{number}", layers[number], first_only=last)
        x = x[:, 0]
    x = keras.layers.Identity(name="features", dtype="float32")(x)
    head = keras.initializers.TruncatedNormal(stddev=0.02)
    logits = keras.layers.Dense(
        num_classes, kernel_initializer=head, name="logits", dtype="float32"
    )(x)
    return keras.Model(inputs, logits, name="encoder")
