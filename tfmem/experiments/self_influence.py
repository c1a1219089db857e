"""Self-influence by one model that is trained on all examples, and what else that model says.

The model and its weights are made here; `tfmem.influence` is given them.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset, Dataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.influence.attribution.integral import Splitter
from tfmem.influence.attribution.splitting import splitter
from tfmem.influence.effects import test_effects
from tfmem.influence.keeping import kept_scores
from tfmem.influence.objective import Objective
from tfmem.influence.scores import Scores
from tfmem.influence.solver import Solver
from tfmem.influence.solvers import make_solver
from tfmem.messages.errors import InputError
from tfmem.store.pairs import ModelInfluence
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
    arrays = arrays_in_memory(config, dataset)
    objective, test_accuracy = trained_objective(config, arrays, trial_id, models)
    about = config.digest() + dataset.fingerprint + str(trial_id).encode()
    unfinished = models / f"unfinished-{config.self_influence.solver}-{trial_id:05d}"
    clock, work = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the summary counts what has not converged
        solver = make_solver(config.self_influence, objective)
        spent = time.perf_counter() - clock, time.process_time() - work
        with ExampleProgress(len(objective.labels)) as progress:
            found = kept_scores(solver, about, unfinished, progress.advance)
    took = spent[0] + found.seconds, spent[1] + found.cpu_seconds
    return Estimated(found.scores, solver, test_accuracy, *took)


def kept_solver(config: Config, dataset: AnyDataset, kept: Path) -> tuple[Solver, Dataset]:
    """The solver that self-influences are from, on their model, and the examples as it takes them.

    Args:
      config: what they were made with.
      dataset: the examples as they are loaded.
      kept: the folder of their records, beside that of the models.

    Raises:
      InputError: as `self_influence` does.
    """
    arrays = arrays_in_memory(config, dataset)
    trial = config.self_influence.trial
    objective, _ = trained_objective(config, arrays, trial, kept.parent / MODELS)
    return make_solver(config.self_influence, objective), arrays


def kept_influences(
    config: Config, dataset: AnyDataset, kept: Path, examples: np.ndarray
) -> Iterator[ModelInfluence]:
    """What training examples do to test examples; see `kept_solver` and `test_effects`."""
    return test_effects(*kept_solver(config, dataset, kept), examples)


def kept_splitter(config: Config, dataset: AnyDataset, kept: Path) -> tuple[Solver, Splitter]:
    """The solver that self-influences are from, and the way to take examples apart for its model.

    Args:
      config: what they were made with, and `attribution`.
      dataset: the examples as they are loaded.
      kept: the folder of their records, beside that of the models.

    Raises:
      InputError: as `kept_solver` and `splitter` do.
    """
    solver, _ = kept_solver(config, dataset, kept)
    return solver, splitter(config, dataset, solver.objective)


def trained_objective(
    config: Config, arrays: Dataset, trial_id: int, models: Path
) -> tuple[Objective, float]:
    """The objective at a model that was trained on everything, and its test accuracy.

    Args:
      config: model, recipe, and `self_influence`.
      arrays: the examples as the model takes them.
      trial_id: the trial whose seeds the model has.
      models: folder for the weights; those that are there are taken.

    Raises:
      InputError: if the model diverged, or has no such layer.
    """
    settings = config.self_influence
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


def arrays_in_memory(config: Config, dataset: AnyDataset) -> Dataset:
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
