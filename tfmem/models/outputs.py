"""Whether a model returns logits or probabilities."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfmem.messages.errors import InputError
from tfmem.models.logits import final_layer
from tfmem.tasks import OutputKind

_ROUNDING = 1e-3
_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


def output_kind(model: keras.Model) -> OutputKind:
    """Whether a model returns logits or probabilities.

    What decides it is, in this order: a last layer that is `Softmax` or has the activation
    `softmax` or `sigmoid`; the loss's `from_logits`; and, if neither says anything, logits.

    Args:
      model: a Keras model, which may be compiled.
    """
    last = final_layer(model)
    if isinstance(last, keras.layers.Softmax):
        return "probabilities"
    if any(getattr(last, "activation", None) is each for each in _PROBABILITIES):
        return "probabilities"
    from_logits = _from_logits(getattr(model, "loss", None))
    return "probabilities" if from_logits is False else "logits"


def output_shape(model: keras.Model) -> tuple[int | None, ...]:
    """The shape of what a model returns for one example; empty if it is no array or not known."""
    try:
        shape = model.output_shape
    except (AttributeError, ValueError):  # a subclass that only its `call` knows
        return ()
    is_one = isinstance(shape, tuple) and all(isinstance(n, int | None) for n in shape)
    return shape[1:] if is_one else ()


def check_probabilities(outputs: np.ndarray) -> None:
    """Refuses outputs that a loss takes for probabilities and that are none.

    Args:
      outputs: what a model returned, of any shape.

    Raises:
      InputError: if a value is below 0 or above 1.
    """
    least, most = (float(f(outputs, initial=0.5)) for f in (np.nanmin, np.nanmax))
    if least < -_ROUNDING or most > 1 + _ROUNDING:
        raise InputError(
            "model: expected probabilities, which its loss takes (from_logits=False), received "
            f"outputs from {least:.4g} to {most:.4g}: give the loss from_logits=True, or end the "
            "model with a softmax or sigmoid"
        )


def _from_logits(loss: Any) -> bool | None:
    """What a loss takes outputs for; None if it does not say."""
    if loss is None:
        return None
    if isinstance(loss, str):
        loss = keras.losses.get(loss)
    if hasattr(loss, "from_logits"):
        return bool(loss.from_logits)
    if isinstance(loss, keras.losses.Loss):
        return bool(loss.get_config().get("from_logits")) if _has(loss) else None
    is_known = getattr(loss, "__name__", "").endswith("crossentropy")
    return False if is_known else None  # functions of Keras take probabilities by default


def _has(loss: keras.losses.Loss) -> bool:
    try:
        return "from_logits" in loss.get_config()
    except NotImplementedError:  # a loss that a user wrote
        return False
