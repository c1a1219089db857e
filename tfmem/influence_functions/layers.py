"""The variables of a model in whose space gradients are taken."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfmem.messages.errors import InputError


def variables_in(model: keras.Model, layers: Sequence[str]) -> list[keras.Variable] | None:
    """The trained variables of the layers that `self_influence.layers` names.

    Args:
      model: the model, trained or not.
      layers: names of layers of the model that have such variables.

    Returns:
      The variables in the order of `layers`; None, which is all of the model, if it is empty.

    Raises:
      InputError: if the model has no such layer.
    """
    known = {each.name: each.trainable_variables for each in model.layers}
    names = [name for name, variables in known.items() if variables]
    if unknown := [name for name in layers if name not in names]:
        raise InputError(
            f"self_influence.layers: expected some of {', '.join(names)}, received {unknown[0]!r}"
        )
    return [variable for name in layers for variable in known[name]] or None
