"""Trains the trials of a run."""

from __future__ import annotations

from components.component import Component, Parameters, Paths, Predictions
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.training import train


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains what the folder does not hold yet, and says how accurate the models are."""
    config = Config.model_validate_json(parameters["config"])
    summary = train(config, load(config.dataset), outputs["predictions"])
    print(
        f"{summary.trials} trials ({summary.trained} trained now), "
        f"test accuracy {summary.accuracy:.2%} ± {summary.accuracy_sd:.2%} (SD)"
    )


TRAIN = Component(
    name="train",
    inputs={},
    outputs={"predictions": Predictions},
    parameters={"config": str},
    Do=Do,
    resumable=True,
)
