"""Classifiers that end in a softmax: losses and derivatives are taken of what goes into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from tfmem.messages.errors import InputError


def final_softmax(model: keras.Model) -> keras.Layer | None:
    """The layer at the end of a model that applies a softmax, if that can be seen.

    It can in sequential and functional models whose last layer is `Softmax` or has the activation
    `softmax`; not within layers of a user's own.
    """
    while isinstance(model, keras.Model):
        outputs = getattr(model, "outputs", None)
        if not outputs or len(outputs) > 1:
            return None
        model = outputs[0]._keras_history.operation
    if isinstance(model, keras.layers.Softmax):
        return model
    is_softmax = getattr(model, "activation", None) is keras.activations.softmax
    return model if is_softmax else None


@contextmanager
def logits_of(model: keras.Model) -> Iterator[None]:
    """Within it, the model returns what goes into its final softmax, if it has one."""
    layer = final_softmax(model)
    name = "call" if isinstance(layer, keras.layers.Softmax) else "activation"
    if layer is None:
        yield
        return
    missing = name not in vars(layer)
    before = getattr(layer, name)
    setattr(layer, name, _unchanged)
    try:
        yield
    finally:
        if missing:
            delattr(layer, name)
        else:
            setattr(layer, name, before)


def check_logits(model: keras.Model) -> None:
    """Makes sure that a model to be trained returns logits, as far as that can be seen.

    Raises:
      InputError: if its last layer applies a softmax.
    """
    if (layer := final_softmax(model)) is not None:
        raise InputError(
            f"model {model.name!r}: expected logits, received probabilities: its last layer, "
            f"{layer.name!r}, applies a softmax; leave that out (activation=None)"
        )


def _unchanged(inputs: Any, mask: Any = None) -> Any:
    del mask
    return inputs
