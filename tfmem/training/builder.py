"""A user's function that returns a compiled Keras model, and the variables of each trial's model.

The function is called under a seed. Twice with one seed, it must return the same model; what comes
out the same with another seed is a constant, such as pretrained weights or the statistics of a
normalization.
"""

from __future__ import annotations

import random
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.subsets.drawing import Purpose
from tfmem.training.initialization import (
    SEED_STATE,
    check_repeats,
    has_own_layers,
    initializer_of,
    owners_of,
    values_of,
)
from tfmem.training.losses import call

_SEEDS = threading.Lock()  # seeds are those of the whole program

Build = Callable[[], keras.Model]


class Builder:
    """Builds a user's model, and all of its variables."""

    def __init__(self, build: Build, inputs: Any) -> None:
        """Takes the function.

        Args:
          build: returns a compiled model.
          inputs: some examples; a model that does not say what it takes is called with them.
        """
        self._build = build
        self.inputs = inputs
        self._forms: list[tuple[Any, ...]] | None = None
        self._last: weakref.ReferenceType[keras.Model] | None = None

    def __call__(self, seed: int = 0) -> keras.Model:
        """Builds the model under a seed.

        Raises:
          InputError: if the function returns no compiled Keras model, the same one again or one
            of another architecture, or if the model fails.
        """
        with _seeded(seed):
            model = self._build()
            if not isinstance(model, keras.Model):
                raise InputError(
                    "model.build: expected a Keras model at each call, received "
                    f"{type(model).__name__}"
                )
            if not model.compiled or model.optimizer is None:
                raise InputError(
                    f"model.build: expected a compiled model, received {model.name!r}, which is "
                    "not: call model.compile(optimizer, loss) before returning it"
                )
            if self._last is not None and self._last() is model:
                raise InputError(
                    "model.build: expected a new model at each call, received one and the same: "
                    "make the model within the function"
                )
            self._last = weakref.ref(model)
            if not model.built:
                self.outputs(model)
        self._check_form(model)
        return model

    def _check_form(self, model: keras.Model) -> None:
        found = _forms(model)
        self._forms = self._forms or found
        if found == self._forms:
            return
        pairs = zip(self._forms, found, strict=False)
        differing = [f"{one[0]} {list(one[1])} and {other[0]} {list(other[1])}"
                     for one, other in pairs if one != other]  # fmt: skip
        counts = f"{len(self._forms)} and {len(found)} variables"
        raise InputError(
            "model.build: expected the same architecture at each call, received models with "
            f"{differing[0] if differing else counts}"
        )

    def outputs(self, model: keras.Model) -> Any:
        """What a model predicts for the examples.

        Raises:
          InputError: if it fails.
        """
        try:
            return call(model, self.inputs, training=False)
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise InputError(f"model.build: the model fails on examples: {said(error)}") from error


def alike(build: Builder) -> tuple[keras.Model, keras.Model]:
    """Two models that a function builds under one seed.

    Raises:
      InputError: if their weights differ, so that no trial could be made again.
    """
    model, again = build(0), build(0)
    for one, other in zip(_variables(model), _variables(again), strict=True):
        if not _equal(one.numpy(), other.numpy()):
            raise InputError(
                "model.build: expected the same weights whenever it is called under the same seed "
                f"(keras.utils.set_random_seed), received others for {one.path!r}: draw them from "
                "Keras' initializers, from random or from numpy.random"
            )
    return model, again


def shared(model: keras.Model, other: keras.Model) -> list[keras.Variable]:
    """The variables that two models have in common, of layers that were made outside the function.

    Training one of the models would train part of the other.
    """
    others = {id(variable) for variable in other.variables}
    return [variable for variable in model.variables if id(variable) in others]


def said(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seeds everything random in the program, and gives Python and numpy their states back."""
    with _SEEDS:
        states = random.getstate(), np.random.get_state()  # noqa: NPY002 - what models draw from
        keras.utils.set_random_seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


class BuiltInitializer:
    """Draws the initial values of a user's model (see `Initializer`).

    A variable that comes out the same whatever the seed is a constant. Where the others are what
    their layers' initializers draw, these draw again, with seeds of the trial; else the whole model
    is built for each trial.
    """

    def __init__(self, build: Builder) -> None:
        """Builds the model three times.

        Args:
          build: builds the model under a seed.

        Raises:
          InputError: if models of one seed differ, or a layer draws random numbers that no trial's
            seed decides.
        """
        self._build = build
        model, other = alike(build)[0], build(1)
        self._variables = _variables(model)
        values = [variable.numpy() for variable in self._variables]
        owners = owners_of(model)
        self._constant: list[np.ndarray | None] = []
        self._initializers: list[Any] = []
        self.builds_anew = False
        for variable, value, changed in zip(
            self._variables, values, _variables(other), strict=True
        ):
            is_state = variable.name == SEED_STATE
            constant = not is_state and _equal(value, changed.numpy())
            self._constant.append(value if constant else None)
            initializer = None
            if not constant and not is_state:
                initializer = initializer_of(owners[id(variable)], variable)
                if not _draws(initializer, variable, value):
                    self.builds_anew = True
            self._initializers.append(initializer)
        if has_own_layers(model):
            check_repeats(model, self, build.inputs)

    def __call__(self, trial: Trial) -> Sequence[np.ndarray]:
        """See `Initializer`."""
        return [values[0] for values in self.of_stack([trial])]

    def of_stack(self, trials: Sequence[Trial]) -> Sequence[np.ndarray]:
        """See `Initializer`."""
        built = [self._built(trial) for trial in trials if self.builds_anew]
        stacks = []
        for number, variable in enumerate(self._variables):
            constant = self._constant[number]
            if constant is not None:
                stacks.append(np.broadcast_to(constant, (len(trials), *constant.shape)))
            elif built and variable.name != SEED_STATE:
                stacks.append(np.stack([values[number] for values in built]))
            else:
                stacks.append(values_of(trials, number, variable, self._initializers[number]))
        return stacks

    def _built(self, trial: Trial) -> list[np.ndarray]:
        """The variables of a model that is built for a trial."""
        seed = trial.seed_sequence(Purpose.INITIALIZATION).generate_state(1)[0]
        return [variable.numpy() for variable in _variables(self._build(int(seed)))]


def _variables(model: keras.Model) -> list[keras.Variable]:
    return [*model.trainable_variables, *model.non_trainable_variables]


def _forms(model: keras.Model) -> list[tuple[Any, ...]]:
    """Names without layers' (which Keras numbers), shapes and types of all variables."""
    return [(v.name, tuple(v.shape), v.dtype, v.trainable) for v in _variables(model)]


def _equal(one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def _draws(initializer: Any, variable: keras.Variable, value: np.ndarray) -> bool:
    """Whether an initializer, called once more, gives a variable's value, and can be seeded."""
    if not isinstance(getattr(initializer, "seed", None), int):
        return False
    try:
        return _equal(value, np.asarray(initializer(variable.shape, dtype=variable.dtype)))
    except (TypeError, ValueError):
        return False
