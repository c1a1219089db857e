"""Estimates memorization from one model, by influence functions."""

from __future__ import annotations

from typing import get_args

from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config, SolverName
from tfmem.datasets import load
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.store.artifacts import SelfInfluence, TrainedModel
from tfmem.store.results import estimator_of

_UNFINISHED = "unfinished"  # scores until all are known


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Estimates the self-influence of all training examples in the model that it is given."""
    config: Config = parameters["config"]
    dataset = load(config.dataset)
    import_tensorflow_for("self-influences")
    from tfmem.experiments.self_influence import self_influence
    from tfmem.influence_functions.records import write_scores

    folder = outputs["memorization"]
    trial = config.self_influence.trial
    found = self_influence(config, dataset, trial, inputs["weights"], folder / _UNFINISHED)
    more = {
        "seconds": found.seconds,
        "cpu_seconds": found.cpu_seconds,
        "trial_id": trial,
        "config_digest": config.digest().hex(),
        "dataset_fingerprint": dataset.fingerprint.hex(),
        "layers": list(config.self_influence.layers),
        "test_accuracy": found.test_accuracy,
    }
    write_scores(found.scores, dataset.train_labels, found.solver, folder, more)
    say(estimator_of(folder))


def _with(solver: SolverName) -> Component:
    OfSolver = type(
        f"SelfInfluence_{solver}", (SelfInfluence,), {"place": f"{SelfInfluence.place}/{solver}"}
    )
    return Component(
        name=f"self-influence-{solver}",
        inputs={"weights": TrainedModel},
        outputs={"memorization": OfSolver},
        parameters={},
        sections=("seed", "dataset", "model", "task", "training", "self_influence"),
        without=("training.trials",),
        Do=Do,
        resumable=True,
    )


SELF_INFLUENCE: dict[SolverName, Component] = {
    solver: _with(solver) for solver in get_args(SolverName)
}
