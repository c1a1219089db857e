"""Trains the models from whose gradients predictions are attributed."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.messages.backends import import_tensorflow_for
from tfmem.store.artifacts import AttributionCheckpoints, AttributionModels

_SECTIONS = (
    "seed",
    "dataset",
    "model",
    "task",
    "training",
    "gradient_attribution",
    "self_influence.layers",
)
_OF_METHODS = tuple(f"gradient_attribution.{name}" for name in ("projection", "ridge", "keep"))


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains the models that the folder does not hold."""
    config: Config = parameters["config"]
    dataset = load(config.dataset)
    import_tensorflow_for("attributions by gradients")
    from tfmem.experiments.gradient_attribution import train_members

    ((name, folder),) = outputs.items()
    train_members(config, dataset, folder, name == AttributionCheckpoints.name)


TRAIN_MEMBERS = Component(
    name="train-members",
    inputs={},
    outputs={"models": AttributionModels},
    parameters={},
    sections=_SECTIONS,
    without=("training.trials", "gradient_attribution.checkpoints", *_OF_METHODS),
    Do=Do,
    resumable=True,
)

TRAIN_WITH_CHECKPOINTS = Component(
    name="train-with-checkpoints",
    inputs={},
    outputs={"checkpoints": AttributionCheckpoints},
    parameters={},
    sections=_SECTIONS,
    without=("training.trials", "gradient_attribution.models", *_OF_METHODS),
    Do=Do,
    resumable=True,
)
