"""Self-influence: one model, trained on everything."""

from __future__ import annotations

from tfmem.components.attribution import ATTRIBUTION
from tfmem.components.influence_pairs import INFLUENCE_PAIRS
from tfmem.components.self_influence import SELF_INFLUENCE
from tfmem.components.train_on_all import TRAIN_ON_ALL
from tfmem.config import Config
from tfmem.pipelines.runner import Step, configured
from tfmem.selection.estimated import check_rule
from tfmem.store.artifacts import Artifact


def self_influence(config: Config) -> list[Step]:
    """Trains one model, and estimates memorization with the solver that is configured.

    Raises:
      InputError: if tfmem cannot train such a model.
    """
    config.check_trainable("self-influence")
    solver = SELF_INFLUENCE[config.self_influence.solver]
    return [configured(TRAIN_ON_ALL, config), configured(solver, config)]


def attribution(config: Config) -> list[Step]:
    """Attributes that memorization to words or patches."""
    return [configured(ATTRIBUTION, config, wired={"memorization": records(config)})]


def influence_pairs(config: Config) -> list[Step]:
    """Selects pairs by that memorization, and by influence in the same model.

    Raises:
      InputError: if the selection is by false discovery rate.
    """
    check_rule(config.selection)
    return [configured(INFLUENCE_PAIRS, config, wired={"memorization": records(config)})]


def records(config: Config) -> type[Artifact]:
    """The kind that its records are, which says where they are in a run's folder."""
    return SELF_INFLUENCE[config.self_influence.solver].outputs["memorization"]
