"""Experiments, by name, each after the run that it begins with."""

from __future__ import annotations

from collections.abc import Sequence

from components.component import Component
from components.fraction import FRACTION
from components.label_errors import LABEL_ERRORS
from components.last_k_layers import LAST_K_LAYERS
from components.last_layer import LAST_LAYER
from components.leave_one_out import LEAVE_ONE_OUT
from components.mem_infl import MEM_INFL
from components.pair_utility import PAIR_UTILITY
from components.proxies import PROXIES
from components.random_labels import RANDOM_LABELS
from components.removal import REMOVAL
from pipelines.memorization import conducted
from pipelines.removal import removal
from pipelines.runner import Step
from tfmem.config import Config

EXPERIMENTS: dict[str, Component] = {
    component.name: component
    for component in (
        REMOVAL,
        PAIR_UTILITY,
        LEAVE_ONE_OUT,
        FRACTION,
        LABEL_ERRORS,
        RANDOM_LABELS,
        PROXIES,
        MEM_INFL,
        LAST_LAYER,
        LAST_K_LAYERS,
    )
}


def experiment(name: str, config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """A run, an experiment on its estimates, and the page with both."""
    if name == REMOVAL.name:
        return removal(config, beam_args)
    return conducted((EXPERIMENTS[name],), config, beam_args)
