"""Draws fresh variables for a built Keras model, from a trial's own seed.

Building a model anew for each trial costs tens of milliseconds, more than training a small one in a
stack. So a model is built once, and its layers' own initializers run again with new seeds. A layer
or initializer that draws random numbers which no trial's seed decides is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from tfmem.messages.backends import backend
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.subsets.drawing import Purpose, seeds_of_trials
from tfmem.training.draws import drawn_as_on_tensorflow, has_the_bits_of_tensorflow
from tfmem.training.losses import call

SEED_STATE = "seed_generator_state"  # Keras' name of the state of a generator of random numbers
_KNOWN = ("keras.", "tfmem.")  # modules whose layers and initializers draw from seeds only
_ANY_LENGTH = 8  # length that stands for an axis that a model leaves open
_ROUNDING = 1e-3  # relative difference of outputs that may be summed in another order


class Initializer(Protocol):
    """Makes the initial values of a model's variables for any trial."""

    def __call__(self, trial: Trial) -> Sequence[np.ndarray]:
        """The initial values for a trial, those of trainable variables first."""

    def of_stack(self, trials: Sequence[Trial]) -> Sequence[np.ndarray]:
        """The initial values for trials of one run, `[trials, ...]` for each variable."""


class VariableInitializer:
    """Makes the initial values of a model's variables for any trial."""

    def __init__(self, model: keras.Model) -> None:
        """Finds the initializer of each variable.

        Args:
          model: a built model; if it has layers that a user wrote, its variables are set anew.

        Raises:
          InputError: if a layer does not say how one of its variables is initialized, or an
            initializer or a layer draws random numbers that a trial's seed does not decide.
        """
        owners = owners_of(model)
        self._variables = [*model.trainable_variables, *model.non_trainable_variables]
        self._initializers = [self._find(owners[id(v)], v) for v in self._variables]
        pairs = zip(self._initializers, self._variables, strict=True)
        self._constants = [_constant(*pair) for pair in pairs]
        if not all(_is_known(layer) for layer in _layers(model) if layer is not model):
            self._check_layers(model)

    @staticmethod
    def _find(layer: keras.Layer, variable: keras.Variable) -> Any:
        if variable.name == SEED_STATE:
            return None  # `__call__` sets this variable
        initializer = initializer_of(layer, variable)
        if initializer is None:
            raise InputError(
                f"model: layer {layer.name!r} has no attribute '{variable.name}_initializer', so "
                f"its variable {variable.path!r} cannot be drawn anew for each trial"
            )
        if not _is_known(initializer):
            _check_initializer(initializer, layer, variable)
        return initializer

    def __call__(self, trial: Trial) -> Sequence[np.ndarray]:
        """Draws initial values for a trial, trainable variables first, each with its own seed."""
        return [values[0] for values in self.of_stack([trial])]

    def of_stack(self, trials: Sequence[Trial]) -> Sequence[np.ndarray]:
        """See `Initializer`."""
        each = zip(self._variables, self._initializers, self._constants, strict=True)
        return [
            values_of(trials, number, variable, initializer)
            if constant is None
            else np.broadcast_to(constant, (len(trials), *constant.shape))
            for number, (variable, initializer, constant) in enumerate(each)
        ]

    def _check_layers(self, model: keras.Model) -> None:
        examples = [
            np.ones([4, *(_ANY_LENGTH if n is None else n for n in each.shape[1:])], each.dtype)
            for each in model.inputs
        ]
        check_repeats(model, self, examples if len(examples) > 1 else examples[0])


def values_of(
    trials: Sequence[Trial], number: int, variable: keras.Variable, initializer: Any | None
) -> np.ndarray:
    """The initial values of a variable in some trials, each drawn with a seed of its own.

    Args:
      trials: trials of one run.
      number: the variable's number among those of its model.
      variable: the variable.
      initializer: draws it; None if it is the state of a generator of random numbers.

    Returns:
      `[trials, ...]`.
    """
    (seeds,) = seeds_of_trials(trials, Purpose.INITIALIZATION, [number], 2)
    if initializer is None:
        return seeds.astype(variable.dtype)
    return _drawn(initializer, variable, (seeds[:, 0] >> 1).tolist())


def initializer_of(layer: keras.Layer, variable: keras.Variable) -> Any | None:
    """The initializer that a layer names for one of its variables; None if it names none."""
    for name in (variable.name, variable.name.removesuffix("_kernel"), "depthwise"):
        initializer = getattr(layer, f"{name}_initializer", None)
        if initializer is not None:
            return initializer
    return None


def owners_of(model: keras.Model) -> dict[int, keras.Layer]:
    """The innermost layer that has each variable, by the variable's `id`."""
    owners: dict[int, keras.Layer] = {}
    for layer in _layers(model):
        for variable in layer.variables:
            owners.setdefault(id(variable), layer)
    return owners


def has_own_layers(model: keras.Model) -> bool:
    """Whether a user wrote some of a model's layers, or the model's own class."""
    own_class = not type(model).__module__.startswith(_KNOWN)
    return own_class or not all(_is_known(each) for each in _layers(model) if each is not model)


def check_repeats(model: keras.Model, draw: Initializer, inputs: Any) -> None:
    """Refuses a model that gives other outputs for the same inputs and variables.

    Args:
      model: a built model, whose variables are set anew.
      draw: draws the variables of a trial.
      inputs: some examples.

    Raises:
      InputError: if it does.
    """

    def outputs() -> list[np.ndarray]:
        variables = *model.trainable_variables, *model.non_trainable_variables
        for variable, value in zip(variables, draw(Trial(0, 0)), strict=True):
            variable.assign(value)
        found = keras.tree.flatten(call(model, inputs, training=True))
        return [np.asarray(keras.ops.convert_to_numpy(each), np.float64) for each in found]

    for one, other in zip(outputs(), outputs(), strict=True):
        if not np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True):
            raise InputError(
                f"model {model.name!r}: expected the same outputs from the same variables, "
                "received others: a layer draws random numbers that no trial's seed decides; draw "
                "them with keras.random from a keras.random.SeedGenerator that the layer keeps"
            )


def _layers(layer: keras.Layer, seen: set[int] | None = None) -> Iterator[keras.Layer]:
    """Yields all layers within a layer or a model, inner ones first, and then the layer itself.

    Keras lists the layers of a model, but not the layers within a layer. These are found among the
    layer's attributes, to which it has to assign them.
    """
    seen = set() if seen is None else seen
    seen.add(id(layer))
    parts = layer.layers if isinstance(layer, keras.Model) else vars(layer)
    for part in _flat(parts):
        if isinstance(part, keras.Layer) and id(part) not in seen:
            yield from _layers(part, seen)
    yield layer


def _flat(value: Any) -> Iterator[Any]:
    """Yields the items of nested collections."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _is_known(thing: Any) -> bool:
    if isinstance(thing, keras.layers.Lambda):
        return False  # a Lambda layer calls a function that a user wrote
    return type(thing).__module__.startswith(_KNOWN)


def _drawn(initializer: Any, variable: keras.Variable, seeds: Sequence[int]) -> np.ndarray:
    """What an initializer draws with each seed: Keras' own ones the same on every backend."""
    dtype = keras.backend.standardize_dtype(variable.dtype)
    if backend() != "tensorflow" or (
        dtype == "float32" and has_the_bits_of_tensorflow(initializer)
    ):
        drawn = drawn_as_on_tensorflow(initializer, variable.shape, seeds)
        if drawn is not None:
            return drawn if dtype == "float32" else drawn.astype(np.asarray(variable).dtype)

    def with_seed(seed: int) -> Any:
        if not hasattr(initializer, "seed"):
            return initializer
        return type(initializer).from_config({**initializer.get_config(), "seed": seed})

    each = (with_seed(seed)(variable.shape, dtype=variable.dtype) for seed in seeds)
    return np.stack([np.asarray(values) for values in each])


def _constant(initializer: Any, variable: keras.Variable) -> np.ndarray | None:
    """What one of Keras' initializers gives under any seed; None if it draws."""
    if not type(initializer).__module__.startswith("keras.") or hasattr(initializer, "seed"):
        return None
    return _drawn(initializer, variable, [0])[0]


def _check_initializer(initializer: Any, layer: keras.Layer, variable: keras.Variable) -> None:
    """Refuses a user's initializer that does not give the same values for the same seed."""
    name = getattr(initializer, "__name__", type(initializer).__name__)
    what = f"model: layer {layer.name!r}: the initializer {name!r} of {variable.path!r}"
    try:
        one, other = (_drawn(initializer, variable, [1]) for _ in range(2))
    except (AttributeError, NotImplementedError, TypeError) as error:
        raise InputError(
            f"{what}: expected one that takes (shape, dtype) and, if it has an attribute 'seed', "
            f"get_config and from_config with it; received an error: {error}"
        ) from None
    if not np.array_equal(one, other):
        raise InputError(
            f"{what} draws other values each time, which no trial's seed decides: expected an "
            "attribute 'seed' that decides them and is in its get_config"
        )
