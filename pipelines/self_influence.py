"""Self-influence: one model, trained on everything."""

from __future__ import annotations

from tfmem.components.attribution import ATTRIBUTION
from tfmem.components.influence_pairs import INFLUENCE_PAIRS
from tfmem.components.self_influence import SELF_INFLUENCE
from tfmem.config import Config, TrainingSettings
from tfmem.pipelines.memorization import only_trials
from tfmem.pipelines.runner import Step
from tfmem.selection.estimated import check_rule
from tfmem.store.artifacts import Artifact


def self_influence(config: Config) -> list[Step]:
    """Estimates memorization with the solver that is configured."""
    parameters = {"config": _alone(config).model_dump_json()}
    return [Step(SELF_INFLUENCE[config.self_influence.solver], parameters)]


def attribution(config: Config) -> list[Step]:
    """Attributes that memorization to words or patches."""
    settings = _alone(config).model_copy(update={"attribution": config.attribution})
    wired = {"memorization": records(config)}
    return [Step(ATTRIBUTION, {"config": settings.model_dump_json()}, wired)]


def influence_pairs(config: Config) -> list[Step]:
    """Selects pairs by that memorization, and by influence in the same model.

    Raises:
      InputError: if the selection is by false discovery rate.
    """
    check_rule(config.selection)
    settings = _alone(config).model_copy(update={"selection": config.selection})
    wired = {"memorization": records(config)}
    return [Step(INFLUENCE_PAIRS, {"config": settings.model_dump_json()}, wired)]


def records(config: Config) -> type[Artifact]:
    """The kind that its records are, which says where they are in a run's folder."""
    return SELF_INFLUENCE[config.self_influence.solver].outputs["memorization"]


def _alone(config: Config) -> Config:
    """Without what is no concern of one model, such as how many trials are run beside it."""
    training = config.training.model_copy(update={"trials": TrainingSettings().trials})
    alone = {"training": training, "self_influence": config.self_influence}
    return only_trials(config).model_copy(update=alone)
