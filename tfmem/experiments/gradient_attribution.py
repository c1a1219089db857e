"""Attributes test predictions to training examples by gradients of a few trained models.

This module trains the models, or loads them, and hands them to the methods in
`tfmem.influence_functions.methods`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmem.config import Config, MethodName
from tfmem.datasets import AnyDataset, has_classes
from tfmem.experiments.gradient_costs import Cost, Costs
from tfmem.experiments.measuring import measured
from tfmem.influence_functions.layers import check_layers, variables_in
from tfmem.influence_functions.methods import METHODS
from tfmem.influence_functions.methods.method import TrainedState
from tfmem.influence_functions.methods.sums import Sums
from tfmem.influence_functions.objective import Objective
from tfmem.messages.errors import InputError
from tfmem.training.members import Members, Snapshot
from tfmem.training.progress import EpochProgress

_UNFINISHED = "unfinished"  # folder of sums until all models are in them
_COSTS = "costs.json"
SCORES_NAME = "scores.npy"


@dataclass(frozen=True)
class Grown:
    """Scores from some number of models.

    Attributes:
      path: a `.npy` file, float32 `[num_train, num_test]`.
      cost: what they cost since the beginning, in earlier calls too.
    """

    path: Path
    cost: Cost


def train_members(
    config: Config, dataset: AnyDataset, folder: Path, checkpoints: bool = False
) -> None:
    """Trains the models of `gradient_attribution`, unless a folder has their weights.

    Args:
      config: model and recipe, and `self_influence.layers`.
      dataset: the examples.
      folder: receives the weights; an interrupted call continues there.
      checkpoints: whether weights of one model are kept in the course of its training, as `tracin`
        takes them, rather than those of several at its end.

    Raises:
      InputError: if the methods cannot attribute predictions of such models, or these lack a layer
        that the settings name.
    """
    check_gradients(dataset)
    members = Members(config, dataset, folder, _kept(config, checkpoints))
    check_layers(members.build, config.self_influence.layers)
    for number in range(_count(config, checkpoints)):
        with EpochProgress(config.training.epochs) as progress:
            members.train(number, progress)


def write_scores(
    name: MethodName, config: Config, dataset: AnyDataset, models: Path, out: Path
) -> Cost:
    """Writes the scores of all training examples for all test examples.

    Args:
      name: the method.
      config: model, recipe, `self_influence` and `gradient_attribution`.
      dataset: the examples.
      models: folder of the weights, from `train_members`.
      out: receives `scores.npy`, float32 `[num_train, num_test]`, positive where the training
        example helps; an interrupted call continues there at the model that it was at.

    Returns:
      What they cost, in earlier calls too.

    Raises:
      InputError: if models are not there, or the method cannot attribute their predictions.
    """
    count = _count(config, METHODS[name].checkpoints)
    (grown,) = growing_scores(name, config, dataset, models, out, (count,))
    grown.path.rename(out / SCORES_NAME)
    (out / _COSTS).unlink()
    return grown.cost


def growing_scores(
    name: MethodName,
    config: Config,
    dataset: AnyDataset,
    models: Path,
    out: Path,
    counts: Sequence[int],
) -> Iterator[Grown]:
    """Writes scores from growing numbers of models, one after the other; see `write_scores`.

    Args:
      name: the method.
      config: as for `write_scores`.
      dataset: the examples.
      models: folder of the weights.
      out: receives a file of scores for each number; a later call neither makes these again nor
        adds models to the sums that are in them.
      counts: numbers of models, ascending; for a method that takes the checkpoints of one, 1.

    Yields:
      The scores of each number.

    Raises:
      InputError: as `write_scores` does.
    """
    check_gradients(dataset)
    method, settings = METHODS[name], config.gradient_attribution
    members = Members(config, dataset, models, _kept(config, method.checkpoints))
    shape = len(dataset.train_labels), len(dataset.test_labels)
    decides = settings.model_copy(update={"models": 1, "keep": None})
    about = config.digest() + dataset.fingerprint
    about += f"{name} {config.self_influence!r} {decides!r}".encode()
    sums = Sums(out / _UNFINISHED, shape, about)
    keep = settings.keep if name == "trak" else None
    costs = Costs(out / _COSTS, about + repr((shape, keep)).encode())
    paths = {number: out / f"scores-{number:05d}.npy" for number in counts}
    if not costs.continued:
        for path in out.glob("scores-*.npy"):
            path.unlink()
    missing = [n for n in counts if n not in costs.finished or not paths[n].exists()]
    each = len(members.epochs) if method.checkpoints else 1
    if missing and sums.done > missing[0] * each:
        sums.restart()
    for number in counts:
        if number in missing:
            for member in range(sums.done // each, number):
                for place, snapshot in enumerate(members.snapshots(member), member * each):
                    if place < sums.done:
                        continue
                    with measured() as took:
                        state = _state(config, members, snapshot, member)
                        sums.add(method.contribution(state, config, out / _UNFINISHED))
                    costs.add(sums.done, took, member + 1, method.passes)
            with measured() as took:
                sums.write(paths[number], keep, not method.checkpoints)
            costs.finish(number, sums.done, took, method.passes)
        yield Grown(paths[number], costs.finished[number])
    sums.clear()


def check_gradients(dataset: AnyDataset) -> None:
    """Refuses data whose models have no margin, because gradients are those of margins.

    Raises:
      InputError: saying so.
    """
    if not has_classes(dataset):
        raise InputError(
            "attribution by gradients needs a task of classes, because its output is the margin of "
            f"the true label: {dataset.name} has none"
        )
    if not len(dataset.test_labels):
        raise InputError(f"dataset: expected test examples, {dataset.name} has none")


def _count(config: Config, checkpoints: bool) -> int:
    """The number of models that are trained."""
    return 1 if checkpoints else config.gradient_attribution.models


def _kept(config: Config, checkpoints: bool) -> int:
    """The number of epochs of a training after which weights are kept."""
    return config.gradient_attribution.checkpoints if checkpoints else 1


def _state(config: Config, members: Members, snapshot: Snapshot, number: int) -> TrainedState:
    examples, model = members.examples, snapshot.model
    objective = Objective(
        model,
        _numbers(members.inputs[0]),
        examples.train_labels,
        variables_in(model, config.self_influence.layers),
        config.training.weight_decay,
        members.subset(number),
        getattr(examples, "padded", False),
    )
    return TrainedState(
        objective, _numbers(members.inputs[1]), examples.test_labels, snapshot.rate, number
    )


def _numbers(inputs: Any) -> Any:
    """The inputs, if all of them are numbers.

    Raises:
      InputError: if some are texts.
    """

    def checked(array: np.ndarray) -> np.ndarray:
        if array.dtype.kind not in "fiub":
            raise InputError(
                "attribution by gradients needs inputs that are numbers, received texts: let the "
                "data set hold their tokens"
            )
        return array

    return keras.tree.map_structure(checked, inputs)
