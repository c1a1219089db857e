"""Estimates self-influence, and influence on test examples, by one model trained on all examples.

This module trains the model, and later loads it and hands it to `tfmem.influence_functions`.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset, Dataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.influence_functions.attribution.integral import Splitter
from tfmem.influence_functions.attribution.splitting import splitter
from tfmem.influence_functions.effects import test_effects
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.keeping import kept_scores
from tfmem.influence_functions.layers import check_layers, variables_in
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import Scores
from tfmem.influence_functions.solver import Solver
from tfmem.influence_functions.solvers import make_solver
from tfmem.messages.errors import InputError
from tfmem.store.pairs import ModelInfluence
from tfmem.subsets.drawing import random_order
from tfmem.tasks.task import accuracy
from tfmem.training.progress import EpochProgress, ExampleProgress
from tfmem.training.trainers import model_in_float32
from tfmem.training.whole import load_trained, train_on_all

_CURVATURE = 2**32 - 2  # first part of the spawn key of the curvature's examples, no trial's number


@dataclass(frozen=True)
class Estimated:
    """Self-influence of all training examples, and its cost.

    Attributes:
      scores: the scores of all training examples, in index order.
      solver: the solver that computed them.
      test_accuracy: test accuracy of the model.
      seconds: wall time of the solver, in all calls that it needed.
      cpu_seconds: processor time of the solver, on all cores together.
    """

    scores: Scores
    solver: Solver
    test_accuracy: float
    seconds: float
    cpu_seconds: float


def train_model(config: Config, dataset: AnyDataset, trial_id: int, models: Path) -> float:
    """Trains a model on all examples for `self_influence`, and returns its test accuracy.

    Args:
      config: model and recipe, and `self_influence.layers`.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      models: folder for the weights; a model that it holds is not trained again, and a model whose
        training was interrupted is trained further.

    Raises:
      InputError: if the data are not in memory, or the model diverged, or, before it is trained,
        if it lacks a layer that the settings name.
    """
    arrays = arrays_in_memory(config, dataset)
    check_layers(lambda: model_in_float32(config, arrays), config.self_influence.layers)
    with EpochProgress(config.training.epochs) as progress:
        _, outcome = train_on_all(config, arrays, trial_id, models, progress)
    return accuracy(outcome.test)


def self_influence(
    config: Config, dataset: AnyDataset, trial_id: int, models: Path, unfinished: Path
) -> Estimated:
    """Estimates memorization from one model that was trained on all examples.

    Args:
      config: model, recipe, and `self_influence`.
      dataset: the examples.
      trial_id: the trial whose seeds the model has.
      models: folder of the weights, in which `train_model` has kept the model.
      unfinished: folder for scores until all are known, from which an interrupted call continues.

    Raises:
      InputError: if the data are not in memory, if the folder does not hold the model, if the model
        lacks a layer that the settings name, or if the solver does not suit the objective or
        converges for no example.
    """
    arrays = arrays_in_memory(config, dataset)
    objective, test_accuracy = trained_objective(config, arrays, trial_id, models)
    about = config.digest() + dataset.fingerprint + str(trial_id).encode()
    clock, work = time.perf_counter(), time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the summary counts these examples
        solver = make_solver(config.self_influence, objective)
        _remember(config, dataset, trial_id, models, solver)
        spent = time.perf_counter() - clock, time.process_time() - work
        with ExampleProgress(len(objective.labels)) as progress:
            found = kept_scores(solver, about, unfinished, progress.advance)
    took = spent[0] + found.seconds, spent[1] + found.cpu_seconds
    return Estimated(found.scores, solver, test_accuracy, *took)


def kept_solver(config: Config, dataset: AnyDataset, models: Path) -> tuple[Solver, Dataset]:
    """The solver and model of stored self-influences, and the examples as the model takes them.

    Args:
      config: settings with which the self-influences were made.
      dataset: the examples as they are loaded.
      models: folder of the weights.

    Raises:
      InputError: as `self_influence` does.
    """
    arrays, trial_id = arrays_in_memory(config, dataset), config.self_influence.trial
    if _last and _last[0] == _identity(config, dataset, trial_id, models):
        return _last[1], arrays
    objective, _ = trained_objective(config, arrays, trial_id, models)
    solver = make_solver(config.self_influence, objective)
    _remember(config, dataset, trial_id, models, solver)
    return solver, arrays


# Making a solver takes the gradients of all examples, and steps of a pipeline share a process.
_last: tuple[tuple[Any, ...], Solver] | None = None


def _identity(config: Config, dataset: AnyDataset, trial_id: int, models: Path) -> tuple[Any, ...]:
    """What decides a solver: settings, examples, and the files of weights as they are now."""
    files = [(path.name, path.stat()) for path in sorted(Path(models).glob("*.npz"))]
    states = [(name, state.st_size, state.st_mtime_ns) for name, state in files]
    about = config.digest(), dataset.fingerprint, trial_id, states
    return *about, config.self_influence.model_dump_json()


def _remember(
    config: Config, dataset: AnyDataset, trial_id: int, models: Path, solver: Solver
) -> None:
    """Keeps a fast solver for the next step; others hold more, or are made at once.

    Only a solver of the trial that settings name is asked for again.
    """
    global _last
    if trial_id != config.self_influence.trial:
        return
    _last = None
    if isinstance(solver, FastSolver):
        _last = _identity(config, dataset, trial_id, models), solver


def kept_influences(
    config: Config, dataset: AnyDataset, models: Path, examples: np.ndarray
) -> Iterator[ModelInfluence]:
    """Influences of training examples on test examples; see `kept_solver` and `test_effects`."""
    return test_effects(*kept_solver(config, dataset, models), examples)


def influence_matrix(config: Config, dataset: AnyDataset, models: Path) -> np.ndarray:
    """Influence of all training on all test examples in one model, which is trained if need be.

    Args:
      config: model, recipe, and `self_influence`.
      dataset: the examples as they are loaded.
      models: folder of the weights.

    Returns:
      float64 `[num_train, num_test]`: how much the probability of the test label falls when the
      training example is left out, to first order.

    Raises:
      InputError: as `self_influence` does.
    """
    train_model(config, dataset, config.self_influence.trial, models)
    examples = np.arange(len(dataset.train_labels))
    blocks = kept_influences(config, dataset, models, examples)
    return np.concatenate([block.influence for block in blocks], axis=1)


def kept_splitter(config: Config, dataset: AnyDataset, models: Path) -> tuple[Solver, Splitter]:
    """The solver of stored self-influences, and the splitter that takes its examples apart.

    Args:
      config: settings with which the self-influences were made, and `attribution`.
      dataset: the examples as they are loaded.
      models: folder of the weights.

    Raises:
      InputError: as `kept_solver` and `splitter` do.
    """
    solver, _ = kept_solver(config, dataset, models)
    return solver, splitter(config, dataset, solver.objective)


def trained_objective(
    config: Config, arrays: Dataset, trial_id: int, models: Path
) -> tuple[Objective, float]:
    """The objective at a model that was trained on all examples, and the model's test accuracy.

    Args:
      config: model, recipe, and `self_influence`.
      arrays: the examples as the model takes them.
      trial_id: the trial whose seeds the model has.
      models: folder of the weights.

    Raises:
      InputError: if the folder does not hold the model, or the model lacks a layer that the
        settings name.
    """
    with EpochProgress(config.training.epochs) as progress:
        model, outcome = load_trained(config, arrays, trial_id, models, progress)
    objective = Objective(
        model,
        arrays.train_images.astype(np.float32) / arrays.white,
        arrays.train_labels,
        variables_in(model, config.self_influence.layers),
        config.training.weight_decay,
        _curvature_examples(config, len(arrays.train_labels)),
        arrays.padded,
    )
    return objective, accuracy(outcome.test)


def arrays_in_memory(config: Config, dataset: AnyDataset) -> Dataset:
    """The examples as the model takes them.

    Raises:
      InputError: if the examples are not in memory, or are of a language.
    """
    arrays = as_arrays(config, dataset)
    if isinstance(arrays, StreamedDataset):
        raise InputError("dataset.image_size: self-influence needs a data set in memory")
    if arrays.vocabulary:
        raise InputError(
            "dataset.text.tokens: self-influence needs one prediction for each example, models of "
            "a language make one for each token"
        )
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
