"""Predicts the class of each training example by models that never saw it."""

from __future__ import annotations

from tfmem.audit.opinion import ask
from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.store.artifacts import Artifact


class SecondOpinion(Artifact):
    """Probabilities of all classes for each training example, and the models that gave them."""

    place = "second_opinion"


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains the models that do not exist yet."""
    config: Config = parameters["config"]
    ask(config, load(config.dataset), outputs["opinion"])


SECOND_OPINION = Component(
    name="second-opinion",
    inputs={},
    outputs={"opinion": SecondOpinion},
    parameters={},
    sections=("seed", "dataset", "model", "task", "training", "experiments.audit"),
    Do=Do,
    resumable=True,
)
