"""Trains as one of several workers that share nothing but a folder or a bucket."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.train import describe
from tfmem.config import Config
from tfmem.datasets.summary import load_and_tell
from tfmem.messages.terminal import say
from tfmem.training import Worker, train


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains the worker's share and unclaimed shards, as `tfmem train --worker` does."""
    config: Config = parameters["config"]
    worker = Worker.parse(parameters["worker"])
    say(describe(train(config, load_and_tell(config.dataset), parameters["folder"], worker)))


TRAIN_WORKER = Component(
    name="train_worker",
    inputs={},
    outputs={},
    parameters={"folder": str, "worker": str},
    sections=("seed", "dataset", "model", "task", "training"),
    Do=Do,
)
