"""Self-influence of a configuration's training examples: train one model on all, then solve."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset, Dataset, StreamedDataset
from tfmem.influence import SOLVERS
from tfmem.influence.keeping import kept_scores
from tfmem.influence.objective import Objective
from tfmem.influence.scores import Scores
from tfmem.influence.solver import Solver
from tfmem.messages.errors import InputError
from tfmem.models.encoders import as_arrays
from tfmem.subsets.drawing import random_order
from tfmem.training.progress import EpochProgress, ExampleProgress
from tfmem.training.whole import train_on_all

MODELS = "models"  # the folder of weights, beside those of records
_CURVATURE = 2**32 - 2  # first part of the spawn key of its examples; no trial's number


@dataclass(frozen=True)
class Estimated:
    """Self-influence of all training examples, and what it took.

    Attributes:
      scores: of all, in index order.
      solver: what they are from.
      test_accuracy: of the model.
      seconds: what the solver took, by the clock, in all calls that it needed.
      cpu_seconds: likewise, of all cores together.
    """

    scores: Scores
    solver: Solver
    test_accuracy: float
    seconds: float
    cpu_seconds: float


def self_influence(config: Config, dataset: AnyDataset, trial_id: int, models: Path) -> Estimated:
    """Estimates memorization from one model that was trained on everything.

    Args:
      config: model, recipe, and `self_influence`.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      models: folder for the weights, and for scores while they are not complete; what is there is
        not made again.

    Raises:
      InputError: if the data are not in memory, there is no such layer, the solver does not go with
        the objective, or it has converged for no example.
    """
    objective, test_accuracy = trained_objective(config, dataset, trial_id, models)
    about = config.digest() + dataset.fingerprint + str(trial_id).encode()
    unfinished = models / f"unfinished-{config.self_influence.solver}-{trial_id:05d}"
    clock, work = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the summary counts what has not converged
        solver = solver_of(config, objective)
        spent = time.perf_counter() - clock, time.process_time() - work
        with ExampleProgress(len(objective.labels)) as progress:
            found = kept_scores(solver, about, unfinished, progress.advance)
    took = spent[0] + found.seconds, spent[1] + found.cpu_seconds
    return Estimated(found.scores, solver, test_accuracy, *took)


def solver_of(config: Config, objective: Objective) -> Solver:
    """The solver that is configured, for an objective."""
    settings = config.self_influence
    options: dict[str, Any] = {"damping": settings.damping, "size": settings.sketch}
    if settings.solver != "fast":
        options = {"damping": settings.damping, "curvature": settings.curvature}
    chosen = {name: value for name, value in options.items() if value is not None}
    return SOLVERS[settings.solver](objective, **chosen)


def kept_solver(config: Config, dataset: AnyDataset, kept: Path) -> Solver:
    """The solver that self-influences are from, on their model.

    Args:
      config: what they were made with.
      dataset: the examples as they are loaded.
      kept: the folder of their records, beside that of the models.

    Raises:
      InputError: as `trained_objective` does, or if the solver does not go with the objective.
    """
    trial = config.self_influence.trial
    objective, _ = trained_objective(config, dataset, trial, kept.parent / MODELS)
    return solver_of(config, objective)


def trained_objective(
    config: Config, dataset: AnyDataset, trial_id: int, models: Path
) -> tuple[Objective, float]:
    """The objective at a model that was trained on everything, and its test accuracy.

    Args:
      config: as for `self_influence`, likewise the others.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      models: folder for the weights.

    Raises:
      InputError: if the data are not in memory, or there is no such layer.
    """
    settings = config.self_influence
    arrays = in_memory(config, dataset)
    with EpochProgress(config.training.epochs) as progress:
        model, outcome = train_on_all(config, arrays, trial_id, models, progress)
    names = [layer.name for layer in model.layers if layer.trainable_variables]
    if unknown := [name for name in settings.layers if name not in names]:
        raise InputError(
            f"self_influence.layers: expected some of {', '.join(names)}, received {unknown[0]!r}"
        )
    objective = Objective(
        model,
        arrays.train_images.astype(np.float32) / arrays.white,
        arrays.train_labels,
        [v for name in settings.layers for v in model.get_layer(name).trainable_variables] or None,
        config.training.weight_decay,
        _curvature_examples(config, len(arrays.train_labels)),
        arrays.padded,
    )
    return objective, float(outcome.test_correct.mean())


def in_memory(config: Config, dataset: AnyDataset) -> Dataset:
    """The examples as the model takes them.

    Raises:
      InputError: if they are not in memory.
    """
    arrays = as_arrays(config, dataset)
    if isinstance(arrays, StreamedDataset):
        raise InputError("dataset.image_size: self-influence needs a data set in memory")
    return arrays


def _curvature_examples(config: Config, count: int) -> np.ndarray | None:
    wanted = config.self_influence.curvature_examples
    if wanted is None:
        return None
    if wanted > count:
        raise InputError(
            f"self_influence.curvature_examples: expected at most {count:,}, received {wanted:,}"
        )
    seed = np.random.SeedSequence(config.seed, spawn_key=(_CURVATURE,))
    return np.sort(random_order(seed, count)[:wanted])
