"""A pretrained encoder, taken apart into the layers that stay frozen and those that are trained."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import keras
import numpy as np

from tfmem.encoders.location import import_keras_hub, locate
from tfmem.encoders.tokens import Tokens, read_tokenizer
from tfmem.messages.errors import InputError, reason


@dataclass(frozen=True)
class LayerWeights:
    """One transformer layer, which normalizes after each of its two parts, as in BERT.

    Attributes:
      heads: number of heads of the attention.
      hidden: width between the two dense layers.
      activation: activation between the two dense layers.
      epsilon: epsilon of the normalizations.
      values: float32 arrays, by the names that KerasHub's `TransformerEncoder` gives them.
    """

    heads: int
    hidden: int
    activation: Callable[..., Any]
    epsilon: float
    values: Mapping[str, np.ndarray]


class Encoder:
    """A backbone of KerasHub with its tokenizer.

    Attributes:
      tokenizer: a `tokenizers.Tokenizer`.
      num_layers: number of transformer layers.
      width: width of the vectors between layers.
      max_length: number of tokens that the encoder can read.
    """

    def __init__(self, preset: str) -> None:
        """Reads the files of a preset; see `EncoderSettings.preset`.

        Raises:
          InputError: if the files do not exist, or are not of an encoder of the BERT family.
        """
        folder = locate(preset)
        hub = import_keras_hub()
        self.tokenizer = read_tokenizer(folder)
        try:
            self._backbone = hub.models.Backbone.from_preset(str(folder), dtype="float32")
        except Exception as error:  # damaged files make Keras and safetensors raise any error
            raise InputError(f"model.preset: {folder}: cannot be read: {reason(error)}") from None
        names = {layer.name for layer in self._backbone.layers}
        self.num_layers = getattr(self._backbone, "num_layers", 0)
        layers = [f"transformer_layer_{number}" for number in range(self.num_layers)]
        if not layers or not names.issuperset(layers):
            raise InputError(
                f"model.preset: {folder}: expected an encoder of transformer layers as BERT, "
                f"DistilBERT, ELECTRA or RoBERTa, received {type(self._backbone).__name__}"
            )
        self._layers = [self._backbone.get_layer(name) for name in layers]
        self.width = int(self._layers[0].output.shape[-1])
        self.max_length = int(self._backbone.max_sequence_length)

    def frozen(self, trained_layers: int) -> keras.Model:
        """The model of the frozen layers, from the backbone's inputs to `[batch, length, width]`.

        Raises:
          InputError: if the encoder has fewer layers than `trained_layers`.
        """
        if trained_layers > self.num_layers:
            raise InputError(
                f"model.trained_layers: expected at most {self.num_layers}, the layers of the "
                f"encoder, received {trained_layers}"
            )
        last = self.num_layers - trained_layers
        if last:
            output = self._layers[last - 1].output
        else:
            output = keras.tree.flatten(self._layers[0].input)[0]  # the other input is the mask
        return keras.Model(self._backbone.input, output)

    def above_embedding(
        self, trained_layers: int
    ) -> tuple[keras.Model, keras.Model, tuple[str, ...]]:
        """The model of `frozen` in two steps.

        Returns:
          A model from token numbers to vectors `[batch, length, width]`; a model from a list of
          these vectors and other inputs to the activations; and the names of these other inputs in
          `inputs`. Either model may add the vectors of places.
        """
        inputs = self._backbone.input
        (embedded,) = (
            layer.output
            for layer in self._backbone.layers
            if not isinstance(layer, keras.layers.InputLayer)
            and any(x is inputs["token_ids"] for x in keras.tree.flatten(layer.input))
        )
        others = tuple(name for name in inputs if name != "token_ids")
        output = self.frozen(trained_layers).output
        above = keras.Model([embedded, *(inputs[name] for name in others)], output)
        return keras.Model(inputs["token_ids"], embedded), above, others

    def inputs(self, tokens: Tokens, rows: slice | np.ndarray) -> dict[str, np.ndarray]:
        """The backbone's inputs for some examples, without the padding that all of them have."""
        longest = int(tokens.counts[rows].max())
        ids = tokens.ids[rows, :longest]
        found = {
            "token_ids": ids,
            "segment_ids": tokens.segments[rows, :longest],
            "padding_mask": (np.arange(longest) < tokens.counts[rows, None]).astype(np.int32),
        }
        return {name: found[name] for name in self._backbone.input}

    @cached_property
    def layers(self) -> list[LayerWeights]:
        """The transformer layers, first to last."""
        return [_weights(layer) for layer in self._layers]


@lru_cache(maxsize=1)
def load_encoder(preset: str) -> Encoder:
    """Reads an encoder, or returns the one that was read last."""
    return Encoder(preset)


def _weights(layer: Any) -> LayerWeights:
    settings = layer.get_config()
    values = {
        variable.path.rpartition(f"{layer.name}/")[2]: np.asarray(variable.numpy(), np.float32)
        for variable in layer.variables
        if variable.name != "seed_generator_state"
    }
    return LayerWeights(
        settings["num_heads"],
        settings["intermediate_dim"],
        layer.activation,
        settings["layer_norm_epsilon"],
        values,
    )
