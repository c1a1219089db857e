"""Checks of settings and data that several experiments make before they train any model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tfmem.config import Config, ElsewhereSettings, PythonSettings, TailSettings
from tfmem.config.models import Network
from tfmem.datasets import has_classes
from tfmem.experiments.declaration import Asked
from tfmem.messages.errors import InputError


def four_trials(asked: Asked[Any]) -> None:
    """Refuses a run with fewer than four trials, because each half needs two."""
    if asked.config.training.trials < 4:
        raise InputError(
            f"training.trials: expected at least 4, two for each half of them, received "
            f"{asked.config.training.trials}"
        )


def right_or_wrong(asked: Asked[Any]) -> None:
    """Refuses scores, because the experiment counts how often models are right."""
    config, received = asked.config, asked.config.estimation.statistic
    if received is None and config.task.score not in (None, "correct", "exact_match"):
        received = "score"
    if received is None and config.dataset.text is not None and config.dataset.text.label is None:
        received = "score"
    if received is None and isinstance(config.model, PythonSettings):
        targets = getattr(asked.dataset, "train_targets", None)
        several = targets is not None and targets.dtype == np.uint8
        received = None if has_classes(asked.dataset) or several else "score"
    if received not in (None, "correctness", "probability"):
        raise InputError(
            "this experiment counts how often models are right, which needs a task of classes: "
            f"expected estimation.statistic: correctness, received {received}"
        )


def whole_network(asked: Asked[Any]) -> None:
    """Refuses a model that has no layers below its last blocks."""
    network_of(asked.config)


def network_of(config: Config) -> Network:
    """The settings of the model, which must be a whole network."""
    if isinstance(config.model, TailSettings | PythonSettings | ElsewhereSettings):
        raise InputError(
            f"model.name: expected a network of tfmem's own, received {config.model.name!r}"
        )
    return config.model


def stacked(asked: Asked[Any]) -> None:
    """Refuses a trainer that cannot follow the predictions of a model over its epochs."""
    if asked.config.training.trainer not in ("stacked", "auto"):
        raise InputError(
            "training.trainer: expected 'stacked' to follow predictions over epochs, received "
            f"{asked.config.training.trainer!r}"
        )


def in_memory(asked: Asked[Any]) -> None:
    """Refuses a data set that is not in memory, because gradients of all examples are needed."""
    check_in_memory(asked.config)


def check_in_memory(config: Config) -> None:
    """Refuses a data set that is read during training, because gradients need it in memory."""
    if config.dataset.image_size is not None:
        raise InputError("dataset.image_size: self-influence needs a data set in memory")


def test_examples(asked: Asked[Any]) -> None:
    """Refuses a data set without test examples, which accuracy and influence need."""
    if not len(asked.dataset.test_labels):
        raise InputError(f"dataset: expected test examples, {asked.dataset.name} has none")


def different_labels(asked: Asked[Any]) -> None:
    """Refuses a data set with one label or target, which no other could replace."""
    dataset, what, found = asked.dataset, "classes", asked.dataset.train_labels
    targets = getattr(dataset, "train_targets", None)
    if targets is not None and not has_classes(dataset):
        what, found = "different targets", targets
    if len(np.unique(found, axis=0)) < 2:
        raise InputError(f"dataset: expected at least two {what}, {dataset.name} has one")


def of_classes(check: Callable[[Asked[Any]], None]) -> Callable[[Asked[Any]], None]:
    """A check that is made only of tasks with classes."""

    def checked(asked: Asked[Any]) -> None:
        own = isinstance(asked.config.model, PythonSettings)  # tfmem's own models have classes
        if not own or has_classes(asked.dataset):
            check(asked)

    return checked
