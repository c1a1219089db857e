"""The variables of a model in whose space gradients are taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from tfmem.messages.errors import InputError


def variables_in(model: keras.Model, layers: Sequence[str]) -> list[keras.Variable] | None:
    """The trained variables of the layers that `self_influence.layers` names.

    Args:
      model: the model.
      layers: names of layers of the model that have such variables.

    Returns:
      The variables in the order of `layers`; None, which is all of the model, if it is empty.

    Raises:
      InputError: if the model has no such layer.
    """
    known = _variables(model)
    _check(layers, list(known))
    return [variable for name in layers for variable in known[name]] or None


def check_layers(build: Callable[[], keras.Model], layers: Sequence[str]) -> None:
    """Refuses names of layers that a model will not have when it is trained.

    Args:
      build: builds the model. It is called twice, because Keras numbers layers without a name
        through all models of a program: such names are others each time.
      layers: the names; if there are none, nothing is built.

    Raises:
      InputError: if a layer is not there, or has no name of its own.
    """
    if layers:
        again = _variables(build())
        _check(layers, [name for name in _variables(build()) if name in again])


def _variables(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """The trained variables of the layers that have some, by name."""
    return {
        each.name: each.trainable_variables for each in model.layers if each.trainable_variables
    }


def _check(layers: Sequence[str], known: Sequence[str]) -> None:
    if unknown := [name for name in layers if name not in known]:
        raise InputError(
            f"self_influence.layers: expected some of {', '.join(known) or 'no layers'}, which "
            f"have names of their own and are trained, received {unknown[0]!r}"
        )
