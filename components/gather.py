"""Copies the predictions of workers out of the folder that they share."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.train import describe
from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.store.artifacts import Predictions, TrialTable
from tfmem.store.folders import open_folder
from tfmem.store.journal import TABLE_NAME
from tfmem.store.labels import LABELS_NAME
from tfmem.store.predictions import CONFIG_NAME
from tfmem.training import open_trained


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Copies shards, labels and settings, if no shard is missing."""
    config: Config = parameters["config"]
    out = open_folder(parameters["folder"])
    farm = open_trained(config, out.location)
    if missing := farm.missing():
        raise InputError(
            f"{out}: {len(missing)} of {farm.shards.count} shards are missing: run workers again"
        )
    say(describe(farm.finish(out, 0, {})))
    outputs["table"].write_bytes(out.read(TABLE_NAME))
    trained = farm.shards.folder
    shards = [farm.shards.name(shard) for shard in range(farm.shards.count)]
    for name in (LABELS_NAME, CONFIG_NAME, *shards):
        (outputs["predictions"] / name).write_bytes(trained.read(name))


GATHER = Component(
    name="gather",
    inputs={},
    outputs={"predictions": Predictions, "table": TrialTable},
    parameters={"folder": str},
    sections=("seed", "dataset", "model", "task", "training"),
    Do=Do,
)
