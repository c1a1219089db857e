"""Makes the trainers of a model that a user wrote, by what the user's function returns."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras

from tfmem.config import Config, PythonSettings, TrainingSettings
from tfmem.config.functions import resolve
from tfmem.datasets import AnyDataset, has_classes
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import warn
from tfmem.subsets import Subsets
from tfmem.training.estimators import Build, EstimatorTrainer, check_estimator
from tfmem.training.inputs import targets_of
from tfmem.training.keras_models import keras_trainers
from tfmem.training.outcome import Trainer
from tfmem.training.scoring import task_for

# Settings of the recipe for tfmem's own networks, which a user's model brings along.
_RECIPE = (
    "learning_rate",
    "momentum",
    "nesterov",
    "schedule",
    "warmup",
    "decay_epochs",
    "decay_factor",
    "precision",
    "xla",
)


def own_trainers(
    config: Config, settings: PythonSettings, dataset: AnyDataset, subsets: Subsets | None
) -> Sequence[Trainer]:
    """The trainers of a user's own model.

    Args:
      config: all settings.
      settings: those of the model.
      dataset: the examples.
      subsets: the subsets of the trials; None if all have the same size.

    Raises:
      InputError: if the function returns no model, or one that does not fit the data.
    """
    _warn_of_recipe(config.training)
    build = users_builder(settings)
    model = build()
    if isinstance(model, keras.Model):
        return keras_trainers(build, config, dataset, subsets)
    return [_by_estimators(build, model, config, dataset)]


def users_builder(settings: PythonSettings) -> Build:
    """The function that a user wrote, with its arguments."""
    return partial(resolve(settings.build, "model.build"), **settings.arguments)


def _warn_of_recipe(settings: TrainingSettings) -> None:
    fields = type(settings).model_fields
    given = [name for name in _RECIPE if getattr(settings, name) != fields[name].default]
    if given:
        names = ", ".join(f"training.{name}" for name in given)
        warn(f"{names}: without effect, because the model of model.build brings its own")


def _by_estimators(build: Build, model: object, config: Config, dataset: AnyDataset) -> Trainer:
    classes = has_classes(dataset)
    method = check_estimator(model, classes)
    if classes and method == "predict":
        if config.task.score not in (None, "correct"):
            raise InputError(
                f"task.score: expected 'correct', because {type(model).__name__} has no "
                f"predict_proba, received {config.task.score!r}"
            )
        return EstimatorTrainer(build, dataset, config.training, None)
    shape = (len(dataset.class_names),) if classes else targets_of(dataset, test=False).shape[1:]
    task = task_for(config.task, dataset, shape, "probabilities")
    return EstimatorTrainer(build, dataset, config.training, task)
