"""Where a network can be cut in two, and what lies above a cut."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import keras

from tfmem.messages.errors import InputError


def cuts(model: keras.Model) -> Iterator[str]:
    """Layers whose outputs the last one, two, three, … blocks of a network begin with.

    A cut is a layer through which all paths from input to logits go, so a residual block is cut
    before and after, and not within. A block is what lies between two cuts and has a kernel; layers
    without one (normalization, pooling) belong to the block below them.

    Args:
      model: a functional model with one input and one output.

    Returns:
      Names of layers, from the last on; none that has all kernels above it.
    """
    above: set[str] = set()
    for layer in reversed(model.layers):
        try:
            kernels = _kernels(_above(model, layer.name))
        except ValueError:  # another path goes around it
            continue
        if kernels == _kernels(model):
            return
        if kernels - above:
            above = kernels
            yield layer.name


def cut(model: keras.Model, depth: int) -> str:
    """The layer that the last `depth` blocks begin with.

    Raises:
      InputError: if the network has no more blocks than that.
    """
    names = list(islice(cuts(model), depth))
    if len(names) < depth:
        raise InputError(
            f"depth: expected at most {len(names)} of the {len(names) + 1} blocks of the model "
            f"{model.name!r}, received {depth}"
        )
    return names[-1]


def tail(model: keras.Model, depth: int) -> keras.Model:
    """The last `depth` blocks of a network as a model of its own, with variables of its own.

    Raises:
      InputError: if the network has no more blocks than that.
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
