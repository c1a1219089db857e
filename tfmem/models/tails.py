"""Finds where a network can be cut in two, and builds the part above a cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import keras

from tfmem.messages.errors import InputError


def cuts(model: keras.Model) -> Iterator[str]:
    """Yields the layers whose outputs are the inputs of the last one, two, three, … blocks.

    A cut is a layer that all paths from input to logits pass, so a residual block is cut before and
    after it, but not within. A block lies between two cuts and has a kernel; layers without a
    kernel (normalization, pooling) belong to the block below them.

    Args:
      model: a functional model with one input and one output.

    Returns:
      Names of layers, from the last one on, without those that have all kernels above them.
    """
    above: set[str] = set()
    for layer in reversed(model.layers):
        try:
            kernels = _kernels(_above(model, layer.name))
        except ValueError:  # another path goes around this layer
            continue
        if kernels == _kernels(model):
            return
        if kernels - above:
            above = kernels
            yield layer.name


def cut(model: keras.Model, depth: int) -> str:
    """The layer whose outputs are the inputs of the last `depth` blocks.

    Raises:
      InputError: if the network has no more than `depth` blocks.
    """
    names = list(islice(cuts(model), depth))
    if len(names) < depth:
        raise InputError(
            f"depth: expected at most {len(names)} of the {len(names) + 1} blocks of the model "
            f"{model.name!r}, received {depth}"
        )
    return names[-1]


def tail(model: keras.Model, depth: int) -> keras.Model:
    """The last `depth` blocks of a network as a separate model, with its own variables.

    Raises:
      InputError: if the network has no more than `depth` blocks.
    """
    above = _above(model, cut(model, depth))
    return keras.Model.from_config(above.get_config())


def _above(model: keras.Model, name: str) -> keras.Model:
    return keras.Model(model.get_layer(name).output, model.output, name=f"{model.name}_tail")


def _kernels(model: keras.Model) -> set[str]:
    return {
        layer.name
        for layer in model.layers
        if any(variable.name.endswith("kernel") for variable in layer.trainable_variables)
    }
