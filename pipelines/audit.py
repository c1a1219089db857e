"""Audit: a run's estimates, what models say that never saw an example, and what to look at."""

from __future__ import annotations

from collections.abc import Sequence

from components.audit import AUDIT
from components.second_opinion import SECOND_OPINION
from pipelines.memorization import estimation, training
from pipelines.runner import Step
from tfmem.config import Config


def audit(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """A run, and its audit; without a second opinion where models are trained one at a time."""
    settings = {"config": config.model_dump_json()}
    asks = config.experiments.audit.folds and config.training.trainer == "stacked"
    opinion = [Step(SECOND_OPINION, settings)] if asks else []
    return [
        *training(config),
        *estimation(config, beam_args),
        *opinion,
        Step(AUDIT, settings),
    ]
