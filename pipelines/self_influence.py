"""Self-influence: one model, trained on everything."""

from __future__ import annotations

from components.component import Artifact
from components.self_influence import SELF_INFLUENCE
from pipelines.memorization import only_trials
from pipelines.runner import Step
from tfmem.config import Config, TrainingSettings


def self_influence(config: Config) -> list[Step]:
    """Estimates memorization with the solver that is configured."""
    # How many trials are run beside it is no concern of the model.
    training = config.training.model_copy(update={"trials": TrainingSettings().trials})
    alone = {"training": training, "self_influence": config.self_influence}
    parameters = {"config": only_trials(config).model_copy(update=alone).model_dump_json()}
    return [Step(SELF_INFLUENCE[config.self_influence.solver], parameters)]


def records(config: Config) -> type[Artifact]:
    """The kind that its records are, which says where they are in a run's folder."""
    return SELF_INFLUENCE[config.self_influence.solver].outputs["memorization"]
