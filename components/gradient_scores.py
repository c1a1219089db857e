"""Attributes test predictions to training examples by the gradients of a few models."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import get_args

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.train_members import TRAIN_MEMBERS, TRAIN_WITH_CHECKPOINTS
from tfmem.config import Config, MethodName
from tfmem.datasets import load
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.store.artifacts import GradientScores
from tfmem.store.files import write_atomically

COST_NAME = "cost.json"
TRAINED_BY = {
    "trak": TRAIN_MEMBERS,
    "tracin": TRAIN_WITH_CHECKPOINTS,
    "influence-functions": TRAIN_MEMBERS,
}


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Writes `scores.npy`, float32 `[train, test]`, and `cost.json`."""
    config: Config = parameters["config"]
    dataset = load(config.dataset)
    import_tensorflow_for("attributions by gradients")
    from tfmem.experiments.gradient_attribution import write_scores

    (models,), (folder,) = inputs.values(), outputs.values()
    cost = write_scores(parameters["method"], config, dataset, models, folder)
    write_atomically(folder / COST_NAME, json.dumps(asdict(cost), indent=1).encode() + b"\n")
    say(
        f"{parameters['method']}: {cost.passes} passes over the training examples in "
        f"{cost.seconds:.1f} s ({cost.cpu_seconds:.1f} s of processor time)"
    )


def _by(method: MethodName) -> Component:
    OfMethod = type(
        f"Scores_{method}", (GradientScores,), {"place": f"{GradientScores.place}/{method}"}
    )
    return Component(
        name=f"scores-{method}",
        inputs=TRAINED_BY[method].outputs,
        outputs={"scores": OfMethod},
        parameters={"method": str},
        sections=(
            "seed",
            "dataset",
            "model",
            "task",
            "training",
            "self_influence",
            "gradient_attribution",
        ),
        without=("training.trials",),
        Do=Do,
        resumable=True,
    )


GRADIENT_SCORES: dict[MethodName, Component] = {
    method: _by(method) for method in get_args(MethodName)
}
