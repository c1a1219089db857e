"""The main chain: training, estimation, selection, figures, report."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.components.estimate import ESTIMATE
from tfmem.components.figures import DRAW
from tfmem.components.report import REPORT
from tfmem.components.select import SELECT
from tfmem.components.train import TRAIN
from tfmem.config import (
    AttributionSettings,
    Config,
    EstimationSettings,
    ExperimentSettings,
    SelectionSettings,
    SelfInfluenceSettings,
)
from tfmem.pipelines.runner import Step


def training(config: Config) -> list[Step]:
    """Trains the trials of a run."""
    return [Step(TRAIN, {"config": only_trials(config).model_dump_json()})]


def estimation(config: Config, beam_args: Sequence[str]) -> list[Step]:
    """Estimates from predictions, and selects pairs."""
    arguments = list(beam_args)
    return [
        Step(ESTIMATE, {"statistic": config.estimation.statistic, "beam_args": arguments}),
        Step(SELECT, {"config": _only_run(config).model_dump_json(), "beam_args": arguments}),
    ]


def only_trials(config: Config) -> Config:
    """The settings without those of what comes after training, which must not run it again."""
    later = {"estimation": EstimationSettings(), "selection": SelectionSettings()}
    return _only_run(config).model_copy(update=later)


def _only_run(config: Config) -> Config:
    later = {
        "self_influence": SelfInfluenceSettings(),
        "attribution": AttributionSettings(),
        "experiments": ExperimentSettings(),
    }
    return config.model_copy(update=later)


def presentation() -> list[Step]:
    """Draws figures and writes the page."""
    return [Step(DRAW, {}), Step(REPORT, {})]


def run(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """The estimates, with their figures."""
    return [*training(config), *estimation(config, beam_args), Step(DRAW, {})]


def memorization(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """All of it."""
    return [*run(config, beam_args), Step(REPORT, {})]
