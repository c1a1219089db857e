"""Fresh variables for a built Keras model, from a trial's own seed.

Building a model anew for each trial costs tens of milliseconds, more than training a small one in a
stack. So a model is built once, and its layers' own initializers are run again with new seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from tfmem.errors import InputError
from tfmem.subsets import Purpose, Trial


class VariableInitializer:
    """Makes the initial values of a model's variables for any trial."""

    def __init__(self, model: keras.Model) -> None:
        """Finds the initializer of each variable.

        Args:
          model: a built model.

        Raises:
          InputError: if a layer does not say how one of its variables is initialized.
        """
        owners = {
            id(variable): layer for layer in model._flatten_layers() for variable in layer.variables
        }  # a layer comes after the layers that contain it, so the innermost owner stays
        self._variables = [*model.trainable_variables, *model.non_trainable_variables]
        self._initializers = [self._find(owners[id(v)], v) for v in self._variables]

    @staticmethod
    def _find(layer: keras.Layer, variable: keras.Variable) -> keras.Initializer | None:
        if variable.name == "seed_generator_state":
            return None  # not drawn but set: see __call__
        for name in (variable.name, variable.name.removesuffix("_kernel"), "depthwise"):
            initializer = getattr(layer, f"{name}_initializer", None)
            if initializer is not None:
                return initializer
        raise InputError(
            f"model: layer {layer.name!r} has no attribute '{variable.name}_initializer', so its "
            f"variable {variable.path!r} cannot be drawn anew for each trial"
        )

    def __call__(self, trial: Trial) -> Sequence[np.ndarray]:
        """Initial values, the trainable variables first, each drawn from a seed of its own."""
        values = []
        for number, (variable, initializer) in enumerate(
            zip(self._variables, self._initializers, strict=True)
        ):
            seed = trial.seed_sequence(Purpose.INITIALIZATION, number).generate_state(2)
            if initializer is None:
                values.append(np.asarray(seed, variable.dtype))
                continue
            if hasattr(initializer, "seed"):
                settings = {**initializer.get_config(), "seed": int(seed[0] >> 1)}
                initializer = type(initializer).from_config(settings)
            values.append(np.asarray(initializer(variable.shape, dtype=variable.dtype)))
        return values
