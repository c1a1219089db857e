"""The number of epochs that a program trains before it returns to Python."""

from __future__ import annotations

import keras
import numpy as np

_PRODUCTS = 1 << 30  # of one number with another in a program, which takes about 0.2 s on a core
_NUMBERS = 1 << 23  # of examples in the orders of the epochs of one program


def epochs_at_once(model: keras.Model, models: int, size: int) -> int:
    """The number of epochs that together take well below a second, and little memory.

    Args:
      model: the model of which a stack is trained.
      models: number of models in the stack.
      size: number of examples in an epoch of one model.
    """
    positions = _positions(model)
    if not positions:
        return 1
    weights = sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)
    quick = _PRODUCTS // max(1, size * models * weights * positions)
    return max(1, min(quick, _NUMBERS // (size * models)))


def _positions(model: keras.Model) -> int | None:
    """The most places of one example at which a layer applies its weights; None if not known.

    A layer may hold others, so that the places of its inputs count as well.
    """
    try:
        ends = [(layer.input, layer.output) for layer in model.layers if layer.weights]
    except (AttributeError, ValueError):  # the layer is called by a subclass, or several times
        return None
    places = [each.shape[1:-1] for each in keras.tree.flatten(ends)]
    if any(None in sizes for sizes in places):
        return None
    return max(int(np.prod(sizes)) for sizes in places) if places else None
