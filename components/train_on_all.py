"""Trains one model on all training examples."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.store.artifacts import TrainedModel


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains the model, unless the folder holds it already, and prints its test accuracy."""
    config: Config = parameters["config"]
    dataset, trial = load(config.dataset), config.self_influence.trial
    import_tensorflow_for("self-influences")
    from tfmem.experiments.self_influence import train_model

    accuracy = train_model(config, dataset, trial, outputs["weights"])
    say(f"one model with the seeds of trial {trial}, test accuracy {accuracy:.2%}")


TRAIN_ON_ALL = Component(
    name="train-on-all",
    inputs={},
    outputs={"weights": TrainedModel},
    parameters={},
    sections=(
        "seed",
        "dataset",
        "model",
        "task",
        "training",
        "self_influence.trial",
        "self_influence.layers",
    ),
    without=("training.trials",),
    Do=Do,
    resumable=True,
)
