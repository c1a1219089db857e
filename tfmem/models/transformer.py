"""Transformer layers of text encoders, made of dense layers."""

from __future__ import annotations

from typing import Any

import keras

from tfmem.config import DecoderSettings, TransformerSettings
from tfmem.encoders.pretrained import LayerWeights
from tfmem.encoders.tokens import FIRST

_INITIALIZER = {"class_name": "TruncatedNormal", "config": {"stddev": 0.02}}  # BERT's


class Attention(keras.layers.Layer):
    """Attention of several heads, without weights.

    The layer is written in elementary operations, because these can be mapped over a stack of
    models and differentiated twice, unlike fused operations.
    """

    def __init__(self, heads: int, causal: bool = False) -> None:
        """Takes the number of heads.

        Args:
          heads: the number.
          causal: whether a query attends to no later place.
        """
        super().__init__()
        self._heads = heads
        self._causal = causal

    def call(self, query: Any, key: Any, value: Any, seen: Any) -> Any:
        """The mean of the values that each query attends to.

        Args:
          query: `[batch, queries, width]`.
          key: `[batch, length, width]`.
          value: `[batch, length, width]`.
          seen: bool `[batch, length]`, False where there is no token; or `[batch, queries,
            length]`, what each query attends to.

        Returns:
          `[batch, queries, width]`.
        """
        ops = keras.ops
        split = [self._split(x) for x in (query, key, value)]
        scores = ops.matmul(split[0], ops.transpose(split[1], (0, 1, 3, 2)))
        scores = ops.cast(scores, "float32") / float(split[0].shape[-1]) ** 0.5
        seen = seen[:, None, None, :] if len(seen.shape) == 2 else seen[:, None]
        scores = ops.where(seen, scores, -1e9)
        if self._causal:
            place = ops.arange(ops.shape(scores)[-1])
            scores = ops.where(place[:, None] >= place, scores, -1e9)
        read = ops.matmul(ops.cast(ops.softmax(scores), value.dtype), split[2])
        return ops.reshape(ops.transpose(read, (0, 2, 1, 3)), ops.shape(query))

    def _split(self, x: Any) -> Any:
        """Reshapes `[batch, length, width]` to `[batch, heads, length, width / heads]`."""
        ops = keras.ops
        batch, length, width = ops.shape(x)
        shape = (batch, length, self._heads, width // self._heads)
        return ops.transpose(ops.reshape(x, shape), (0, 2, 1, 3))


def transformer_layer(
    x: Any,
    seen: Any,
    name: str,
    weights: LayerWeights,
    first_only: bool = False,
    causal: bool = False,
) -> Any:
    """Applies a layer that normalizes after each of its two parts (Vaswani et al. 2017, Sec. 3.1).

    Args:
      x: `[batch, length, width]`.
      seen: what queries attend to, as `Attention` takes it.
      name: prefix of the names of its dense layers.
      weights: sizes and initial values; missing values are drawn as those of BERT were.
      first_only: whether only the first token's vector is computed, which takes a sixth of the
        work.
      causal: whether a place sees no later one.

    Returns:
      `[batch, length, width]`, or `[batch, 1, width]`.
    """

    def start(key: str, default: Any, shape: tuple[int, ...]) -> Any:
        value = weights.values.get(key)
        return default if value is None else keras.initializers.Constant(value.reshape(shape))

    def dense(x: Any, key: str, units: int, activation: Any = None) -> Any:
        layer = keras.layers.Dense(
            units,
            activation=activation,
            kernel_initializer=start(f"{key}/kernel", _INITIALIZER, (x.shape[-1], units)),
            bias_initializer=start(f"{key}/bias", "zeros", (units,)),
            name=f"{name}_{key.rpartition('/')[2]}",
        )
        return layer(x)

    def normalize(x: Any, key: str) -> Any:
        layer = keras.layers.LayerNormalization(
            epsilon=weights.epsilon,
            gamma_initializer=start(f"{key}/gamma", "ones", (x.shape[-1],)),
            beta_initializer=start(f"{key}/beta", "zeros", (x.shape[-1],)),
            name=f"{name}_{key}",
        )
        return layer(x)

    width = x.shape[-1]
    wanted = x[:, :1] if first_only else x
    read = Attention(weights.heads, causal)(
        dense(wanted, "self_attention_layer/query", width),
        dense(x, "self_attention_layer/key", width),
        dense(x, "self_attention_layer/value", width),
        seen,
    )
    read = dense(read, "self_attention_layer/attention_output", width)
    x = normalize(wanted + read, "self_attention_layer_norm")
    hidden = dense(x, "feedforward_intermediate_dense", weights.hidden, weights.activation)
    return normalize(x + dense(hidden, "feedforward_output_dense", width), "feedforward_layer_norm")


def build_transformer(
    settings: TransformerSettings, input_shape: tuple[int, ...], num_classes: int
) -> keras.Model:
    """Builds a small encoder that is trained from scratch.

    The vectors of words and of their places are added, normalized and passed through
    `settings.layers` layers; the classifier reads the mean over an example's words.

    Args:
      settings: sizes.
      input_shape: `[length]`.
      num_classes: number of logits.

    Returns:
      A functional model from numbers of words `[batch, length]`, which end in 0 after the last
      word, to logits `[batch, num_classes]`; `features` is the mean, float32 `[batch, width]`.
    """
    ops = keras.ops
    inputs = keras.Input(input_shape)
    real = ops.not_equal(inputs, 0)
    words = keras.layers.Embedding(
        settings.vocabulary, settings.width, embeddings_initializer=_INITIALIZER, name="words"
    )
    x = Places(name="places")(words(inputs))
    x = keras.layers.LayerNormalization(name="embedded")(x)
    weights = LayerWeights(settings.heads, 4 * settings.width, keras.activations.gelu, 1e-6, {})
    for number in range(settings.layers):
        x = transformer_layer(x, real, f"layer_{number}", weights)
    share = ops.cast(real, x.dtype) / ops.sum(ops.cast(real, x.dtype), axis=1, keepdims=True)
    x = ops.sum(x * share[..., None], axis=1)
    x = keras.layers.Identity(name="features", dtype="float32")(x)
    logits = keras.layers.Dense(num_classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="transformer")


def build_decoder(
    settings: DecoderSettings,
    input_shape: tuple[int, ...],
    num_tokens: int,
    packed: bool = False,
) -> keras.Model:
    """Builds a small causal language model that is trained from scratch.

    Args:
      settings: sizes.
      input_shape: `[length]`.
      num_tokens: number of tokens of the language.
      packed: whether a window holds several texts, each of which begins with token 2. Places are
        then counted in each text, and no place sees another text.

    Returns:
      A functional model from the token before each place, `[batch, length]`, which end in 0 after
      the last one, to logits of the token at it, `[batch, length, num_tokens]`; `features` are
      float32 `[batch, length, width]`.
    """
    inputs = keras.Input(input_shape)
    seen, places = keras.ops.not_equal(inputs, 0), None
    if packed:
        seen, places = _of_the_same_text(inputs)
    tokens = keras.layers.Embedding(
        num_tokens, settings.width, embeddings_initializer=_INITIALIZER, name="tokens"
    )
    x = Places(name="places")(tokens(inputs), places)
    x = keras.layers.LayerNormalization(name="embedded")(x)
    weights = LayerWeights(settings.heads, 4 * settings.width, keras.activations.gelu, 1e-6, {})
    for number in range(settings.layers):
        x = transformer_layer(x, seen, f"layer_{number}", weights, causal=True)
    x = keras.layers.Identity(name="features", dtype="float32")(x)
    logits = keras.layers.Dense(num_tokens, name="logits", dtype="float32")(x)
    return keras.Model(inputs, logits, name="decoder")


def _of_the_same_text(tokens: Any) -> tuple[Any, Any]:
    """Which earlier places of a window are of the same text, and how many these are.

    Args:
      tokens: `[batch, length]`; a text begins with `FIRST`.

    Returns:
      bool `[batch, length, length]`, true where the third axis names the place itself or an earlier
      one of the same text; and int32 `[batch, length]`, the place in the text.
    """
    ops = keras.ops
    length = tokens.shape[1]
    until = ops.arange(length)[:, None] >= ops.arange(length)
    begun = ops.cast(ops.equal(tokens, FIRST), "float32")
    text = ops.matmul(begun, ops.cast(ops.transpose(until), "float32"))  # the number of the text
    same = ops.logical_and(ops.equal(text[:, :, None], text[:, None, :]), until)
    return same, ops.sum(ops.cast(same, "int32"), axis=-1) - 1


class Places(keras.layers.Layer):
    """Adds a learned vector to the vector at each place in a text."""

    def build(self, input_shape: Any) -> None:
        """Makes the learned vectors, `[length, width]`."""
        self.places_initializer = keras.initializers.get(_INITIALIZER)
        self.places = self.add_weight(
            shape=input_shape[1:], initializer=self.places_initializer, name="places"
        )

    def call(self, x: Any, places: Any = None) -> Any:
        """Adds them to `[batch, length, width]`, of which the end may be missing.

        Args:
          x: the vectors.
          places: int32 `[batch, length]`, their places; None counts from the first.
        """
        if places is not None:
            return x + keras.ops.cast(keras.ops.take(self.places, places, axis=0), x.dtype)
        return x + keras.ops.cast(self.places[: keras.ops.shape(x)[1]], x.dtype)
