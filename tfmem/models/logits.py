"""Finds and removes the final softmax of a classifier, because losses are computed from logits.

The sigmoid of a classifier with one output, for two classes, is treated in the same way.
"""

from __future__ import annotations

from typing import Any

import keras


def final_softmax(model: keras.Model) -> keras.Layer | None:
    """The last layer of a model if it visibly applies a softmax, or a sigmoid to one output.

    A softmax is visible in sequential and functional models whose last layer is `Softmax` or has
    the activation `softmax`. It is not visible within layers that a user wrote, nor if the last
    layer also serves elsewhere.
    """
    layer = final_layer(model)
    if isinstance(layer, keras.layers.Softmax):
        return layer
    is_softmax = getattr(layer, "activation", None) is keras.activations.softmax
    return layer if is_softmax else None


def final_layer(model: keras.Model) -> Any:
    """The layer or operation that makes the only output of a model; None if that is not visible."""
    layer: Any = model
    while isinstance(layer, keras.Model):
        layer = _last(layer)
    return layer


def without_softmax(model: keras.Model) -> keras.Model:
    """A model that returns the inputs of the final softmax of `model`, and shares its layers.

    If `model` has no visible softmax, it is returned unchanged.
    """
    softmax = final_softmax(model)
    return model if softmax is None else _cut(model, softmax)


def _last(model: keras.Model) -> Any:
    """The layer or operation that makes the only output of a model; None if unknown."""
    if isinstance(model, keras.Sequential):
        return model.layers[-1] if model.layers else None
    if not isinstance(model, keras.Function) or len(model.outputs) != 1:
        return None
    last = model.operations[-1]
    # An operation's `output` is that of its first call; the `outputs` of a model are its own.
    known = isinstance(last, keras.Model) or last.output is model.outputs[0]
    return last if known else None


def _cut(model: keras.Model, softmax: keras.Layer) -> keras.Model:
    last = _last(model)

    def replaced(layer: keras.Layer) -> keras.Layer:
        if layer is not last:
            return layer
        if isinstance(layer, keras.Model):
            return _cut(layer, softmax)
        if isinstance(layer, keras.layers.Softmax):
            return _Unchanged(dtype=layer.dtype_policy)
        return _BeforeActivation(layer)

    return keras.models.clone_model(model, clone_function=replaced)


class _Unchanged(keras.layers.Layer):
    """Returns its inputs unchanged, and accepts the arguments of `Softmax`."""

    def call(self, inputs: Any, mask: Any = None) -> Any:
        del mask
        return inputs


class _BeforeActivation(keras.layers.Layer):
    """Returns the values that a layer would pass to its activation."""

    def __init__(self, layer: Any) -> None:
        super().__init__(dtype=layer.dtype_policy)
        self.layer = layer

    def call(self, inputs: Any) -> Any:
        activation = self.layer.activation
        self.layer.activation = keras.activations.linear
        try:
            return self.layer(inputs)
        finally:
            self.layer.activation = activation
