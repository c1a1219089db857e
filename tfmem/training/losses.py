"""The loss of a compiled model, as a function of its variables and of a batch."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import keras


def reductions(model: keras.Model) -> set[str]:
    """How the losses of a compiled model become one number for a batch; `none` if they do not."""
    known = {getattr(loss, "reduction", "sum_over_batch_size") for loss in _losses(model)}
    return {str(reduction).lower() for reduction in known}


def _losses(model: keras.Model) -> list[Any]:
    """The losses that a model was compiled with, which may be in a list or a dictionary."""
    return [loss for loss in keras.tree.flatten(model.loss) if loss is not None]


def _ignored(loss: Any) -> int | None:
    """The target that a loss leaves out; None if it has no such target."""
    return getattr(loss, "ignore_class", None)


def why_no_replicas(model: keras.Model) -> str:
    """Why the losses of a batch's shares do not add up to that of the batch; empty if they do."""
    if type(model).compute_loss is not keras.Model.compute_loss:
        return f"{type(model).__name__} has its own compute_loss"
    for reduction in sorted(reductions(model) - {"sum_over_batch_size", "mean"}):
        return f"the reduction of its loss is {reduction!r}; expected a mean over examples"
    losses = _losses(model)
    if len(losses) > 1 and any(_ignored(loss) is not None for loss in losses):
        return "one of several losses has ignore_class"
    return ""


def call(model: keras.Model, inputs: Any, training: bool) -> Any:
    """Calls a model as `fit` and `predict` do."""
    if "training" in inspect.signature(model.call).parameters:
        return model(inputs, training=training)
    return model(inputs)


def training_loss(model: keras.Model, inputs: Any, targets: Any) -> Any:
    """The loss that `fit` would minimize, with what layers and regularizers add: scalar."""
    return loss_of(model, inputs, targets, call(model, inputs, training=True))


def loss_of(model: keras.Model, inputs: Any, targets: Any, outputs: Any) -> Any:
    """The training loss of outputs that a model has just returned for its inputs."""
    given = {"x": inputs, "y": targets, "y_pred": outputs, "sample_weight": None}
    if "training" in inspect.signature(model.compute_loss).parameters:
        given["training"] = True  # a user's own method may lack it
    return keras.ops.cast(model.compute_loss(**given), "float32")


def counted_outputs(model: keras.Model, targets: Any, outputs: Any) -> Any:
    """The number of outputs that a model's loss counts, float32; None if it counts all of them.

    It leaves out those that a layer has masked, and those whose target is its `ignore_class`.
    """
    kept = getattr(outputs, "_keras_mask", None)
    losses = _losses(model)
    ignored = _ignored(losses[0]) if len(losses) == 1 else None
    if ignored is not None:
        targets = keras.ops.reshape(targets, keras.ops.shape(outputs)[:-1])
        known = keras.ops.not_equal(targets, ignored)
        kept = known if kept is None else keras.ops.logical_and(known, kept)
    return None if kept is None else keras.ops.sum(keras.ops.cast(kept, "float32"))


def stateless_loss(
    model: keras.Model,
    weights: Sequence[Any],
    state: Sequence[Any],
    inputs: Any,
    targets: Any,
) -> tuple[Any, list[Any]]:
    """The training loss of a model with other variables than its own, and its new state.

    Args:
      model: a compiled model.
      weights: values of its trainable variables.
      state: values of its other variables.
      inputs: a batch, `[batch, ...]`, or a collection of such tensors.
      targets: `[batch, ...]`.
    """
    given = (
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    )
    with keras.StatelessScope(given, collect_losses=True) as scope:
        loss = training_loss(model, inputs, targets)
    return loss, [scope.get_current_value(variable) for variable in model.non_trainable_variables]


def stateless_outputs(
    model: keras.Model, weights: Sequence[Any], state: Sequence[Any], inputs: Any
) -> Any:
    """What a model with other variables than its own predicts."""
    given = (
        *zip(model.trainable_variables, weights, strict=True),
        *zip(model.non_trainable_variables, state, strict=True),
    )
    with keras.StatelessScope(given):
        return call(model, inputs, training=False)
