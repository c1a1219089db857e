"""Applies any Keras optimizer to the weights of stacked models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from tfmem.training.optimizers import SGD, Adam

# Optimizers that treat each number of a weight alone: a step of all models is one of a stack.
_ELEMENTWISE = (
    SGD,
    keras.optimizers.SGD,
    keras.optimizers.Adadelta,
    keras.optimizers.Adagrad,
    keras.optimizers.Adam,
    keras.optimizers.AdamW,
    keras.optimizers.Adamax,
    keras.optimizers.Ftrl,
    keras.optimizers.Lion,
    keras.optimizers.Nadam,
    keras.optimizers.RMSprop,
)
Mapped = Callable[[Callable[[Any], Any], Any], Any]


class Update(Protocol):
    """Moves the weights of stacked models."""

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """What the optimizer remembers."""

    def reset(self) -> None:
        """Makes the optimizer forget all steps."""

    def __call__(self, gradients: Sequence[tf.Tensor | None], rate: tf.Tensor) -> None:
        """Takes a step.

        Args:
          gradients: `[stack, ...]` for each weight; None where the loss does not depend on it.
          rate: scalar, the learning rate.
        """

    def finish(self) -> None:
        """Sets weights to their averages, if the optimizer has averaged them (`use_ema`)."""


def inner_optimizer(model: keras.Model) -> keras.optimizers.Optimizer:
    """The optimizer of a compiled model, without the one around it that scales losses."""
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer.inner_optimizer
    return optimizer


def make_update(
    model: keras.Model, weights: Sequence[keras.Variable], mapped: Mapped, skips: bool
) -> Update:
    """The step of a compiled model's optimizer, for stacked weights.

    Args:
      model: the compiled model, whose optimizer may be changed.
      weights: stacked weights, `[stack, ...]` each, in the order of the model's.
      mapped: computes a function of one model for each model of the stack.
      skips: whether some models may skip a step that others take.
    """
    optimizer = inner_optimizer(model)
    if not optimizer.built:
        optimizer.build(model.trainable_variables)
    if why_not_elementwise(optimizer, model) or (skips and type(optimizer) is not SGD):
        return _EachModel(optimizer, weights, mapped)
    return _AllAtOnce(optimizer, weights)


def why_not_stacked(model: keras.Model) -> str:
    """What in a compiled model's optimizer no stack can have; empty if nothing."""
    optimizer = inner_optimizer(model)
    if optimizer.built and why_not_elementwise(optimizer, model):
        return "its optimizer has taken steps already"
    if not why_not_elementwise(optimizer, model):
        return ""
    if optimizer.use_ema:
        return "its optimizer averages weights (use_ema)"
    if optimizer.gradient_accumulation_steps:
        return "its optimizer adds up gradients (gradient_accumulation_steps)"
    return ""


def why_not_mirrored(model: keras.Model) -> str:
    """What in a compiled model's optimizer Keras cannot do over devices; empty if nothing."""
    optimizer = inner_optimizer(model)
    if optimizer.gradient_accumulation_steps:
        return "its optimizer adds up gradients (gradient_accumulation_steps)"
    if optimizer.use_ema and optimizer.ema_overwrite_frequency:
        return "its optimizer overwrites weights with averages (ema_overwrite_frequency)"
    return ""


def why_not_elementwise(optimizer: keras.optimizers.Optimizer, model: keras.Model) -> str:
    """What in an optimizer or in weights concerns more than one number at a time; else empty."""
    if type(optimizer) not in _ELEMENTWISE:
        return f"{type(optimizer).__name__} looks at whole weights"
    if optimizer.clipnorm or optimizer.global_clipnorm:
        return "gradients are clipped by their norm"
    if getattr(optimizer, "_exclude_from_weight_decay", None) or getattr(
        optimizer, "_exclude_from_weight_decay_pattern", None
    ):
        return "some weights do not decay"
    if any(variable.constraint is not None for variable in model.trainable_variables):
        return "weights have constraints"
    return ""


class _AllAtOnce:
    """One optimizer, for which the weights of all models are those of one (see `Update`)."""

    def __init__(
        self, optimizer: keras.optimizers.Optimizer, weights: Sequence[keras.Variable]
    ) -> None:
        self._own = optimizer
        self._optimizer = _for_stacks(optimizer)
        self._optimizer.build(list(weights))
        self._rate = self._optimizer.learning_rate
        self.variables = [variable.value for variable in _memory(self._optimizer)]
        self._first = [variable.numpy() for variable in _memory(optimizer)]

    def reset(self) -> None:
        for variable, first in zip(self.variables, self._first, strict=True):
            variable.assign(tf.broadcast_to(tf.cast(first, variable.dtype), variable.shape))

    def __call__(self, gradients: Sequence[tf.Tensor | None], rate: tf.Tensor) -> None:
        self._rate.assign(rate)
        self._optimizer.apply(gradients)

    def finish(self) -> None:
        self._optimizer.finalize_variable_values(self._optimizer._trainable_variables)


def _memory(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """What an optimizer remembers, without its rate; gradient descent needs no number of steps."""
    left_out = [optimizer._learning_rate]
    if type(optimizer) in (SGD, keras.optimizers.SGD):
        left_out.append(optimizer._iterations)
    return [v for v in optimizer.variables if not any(v is each for each in left_out)]


def _for_stacks(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """An optimizer with the same rule for the weights of a stack, whose rate can be set."""
    config = optimizer.get_config() | {"learning_rate": 0.0}
    if type(optimizer) is keras.optimizers.SGD:
        names = ("learning_rate", "momentum", "nesterov", "name")
        plain = keras.optimizers.SGD(**{name: config[name] for name in names}).get_config()
        if plain == config:
            return SGD(**{name: config[name] for name in names}, model_axes=1)
    if type(optimizer) in (keras.optimizers.Adam, keras.optimizers.AdamW):
        return type(optimizer).from_config(config) if optimizer.amsgrad else Adam(**config)
    if type(optimizer) is SGD:
        config["model_axes"] = 1
    return type(optimizer).from_config(config)


class _EachModel:
    """The optimizer of one model, mapped over the stack (see `Update`)."""

    def __init__(
        self,
        optimizer: keras.optimizers.Optimizer,
        weights: Sequence[keras.Variable],
        mapped: Mapped,
    ) -> None:
        self._optimizer = _stateless(optimizer)
        self._weights = [weight.value for weight in weights]
        self._mapped = mapped
        stack = self._weights[0].shape[0]
        self._rate: int | None = None
        self.variables = []
        for number, variable in enumerate(self._optimizer.variables):
            if variable is self._optimizer._learning_rate:
                self._rate = number
            shape = (stack, *variable.shape)
            self.variables.append(tf.Variable(tf.zeros(shape, variable.dtype), trainable=False))
        self._first = [np.asarray(v) for v in self._optimizer.variables]

    def reset(self) -> None:
        for variable, first in zip(self.variables, self._first, strict=True):
            variable.assign(tf.broadcast_to(first, variable.shape))

    def __call__(self, gradients: Sequence[tf.Tensor | None], rate: tf.Tensor) -> None:
        there = [gradient is not None for gradient in gradients]
        if self._rate is not None:  # else the optimizer computes the rate by its own schedule
            self.variables[self._rate].assign(tf.fill(self.variables[self._rate].shape, rate))

        def one_model(arguments: Any) -> Any:
            kept, weights, received = arguments
            each = iter(received)
            every = [next(each) if reached else None for reached in there]
            return self._optimizer.stateless_apply(kept, every, weights)

        kept, weights = (
            [v.read_value() for v in group] for group in (self.variables, self._weights)
        )
        received = [gradient for gradient in gradients if gradient is not None]
        weights, kept = self._mapped(one_model, (kept, weights, received))
        for variable, value in zip(
            (*self._weights, *self.variables), (*weights, *kept), strict=True
        ):
            variable.assign(value)

    def finish(self) -> None:
        """Does nothing, because no optimizer that averages weights gets here."""


_TENSORFLOW, _KERAS = keras.optimizers.Optimizer.__bases__


def _stateless(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """Gives a built optimizer Keras' own methods, where TensorFlow's expect `tf.Variable`.

    Keras' `stateless_apply` works for all optimizers, but on TensorFlow some of the methods that it
    calls are replaced by others, which serve `tf.distribute` and refuse tensors.
    """
    replaced = {
        name: value
        for name, value in vars(_KERAS).items()
        if name in vars(_TENSORFLOW) and not name.startswith("__")
    }
    keras_own = type("KerasOwn", (_TENSORFLOW,), replaced)
    kind, variables = type(optimizer), optimizer._trainable_variables
    known = [optimizer._var_key(variable) for variable in variables]
    optimizer.__class__ = type(kind.__name__, (kind, keras_own), {})
    keys = dict(zip(known, map(optimizer._var_key, variables), strict=True))
    optimizer._trainable_variables_indices = {key: n for n, key in enumerate(keys.values())}
    without_decay = getattr(optimizer, "_exclude_from_weight_decay", ())
    optimizer._exclude_from_weight_decay = {keys[key] for key in without_decay if key in keys}
    optimizer._exclude_from_weight_decay_cache = {}
    return optimizer
