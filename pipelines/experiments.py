"""Experiments, by name, each after the run that it begins with."""

from __future__ import annotations

from collections.abc import Sequence

from components.component import Component
from components.figures import DRAW
from components.last_k_layers import LAST_K_LAYERS
from components.last_layer import LAST_LAYER
from components.mem_infl import MEM_INFL
from components.removal import REMOVAL
from components.report import REPORT
from pipelines.memorization import estimation, training
from pipelines.runner import Step
from tfmem.config import Config

EXPERIMENTS: dict[str, Component] = {
    component.name: component for component in (REMOVAL, MEM_INFL, LAST_LAYER, LAST_K_LAYERS)
}


def experiment(name: str, config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """A run, an experiment on its estimates, and the page with both."""
    return [
        *training(config),
        *estimation(config, beam_args),
        Step(DRAW, {}),
        Step(EXPERIMENTS[name], {"config": config.model_dump_json()}),
        Step(REPORT, {}),
    ]
