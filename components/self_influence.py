"""Estimates memorization from one model, by influence functions."""

from __future__ import annotations

from typing import get_args

from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config, SolverName
from tfmem.datasets import load
from tfmem.messages.quiet import import_tensorflow
from tfmem.messages.terminal import say
from tfmem.store.artifacts import SelfInfluence
from tfmem.store.results import estimator_of


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains a model on all examples, or loads it if it exists, and estimates self-influence."""
    config: Config = parameters["config"]
    dataset = load(config.dataset)
    import_tensorflow()
    from tfmem.experiments.self_influence import MODELS, self_influence
    from tfmem.influence_functions.records import write_scores

    folder = outputs["memorization"]
    trial = config.self_influence.trial
    found = self_influence(config, dataset, trial, folder.parent / MODELS)
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
        inputs={},
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
