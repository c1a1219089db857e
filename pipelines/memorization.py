"""The main chain: training, estimation, selection, figures, report."""

from __future__ import annotations

from collections.abc import Sequence

from components.component import Component
from components.estimate import ESTIMATE
from components.figures import DRAW
from components.report import REPORT
from components.select import SELECT
from components.train import TRAIN
from pipelines.runner import Step
from tfmem.config import Config, EstimationSettings, ExperimentSettings, SelectionSettings


def training(config: Config) -> list[Step]:
    """Trains the trials of a run."""
    # What is estimated later is no concern of the trials: changing it must not run this step again.
    later = {"estimation": EstimationSettings(), "selection": SelectionSettings()}
    return [Step(TRAIN, {"config": _only_run(config).model_copy(update=later).model_dump_json()})]


def estimation(config: Config, beam_args: Sequence[str]) -> list[Step]:
    """Estimates from predictions, and selects pairs."""
    arguments = list(beam_args)
    return [
        Step(ESTIMATE, {"statistic": config.estimation.statistic, "beam_args": arguments}),
        Step(SELECT, {"config": _only_run(config).model_dump_json(), "beam_args": arguments}),
    ]


def _only_run(config: Config) -> Config:
    return config.model_copy(update={"experiments": ExperimentSettings()})


def presentation() -> list[Step]:
    """Draws figures and writes the page."""
    return [Step(DRAW, {}), Step(REPORT, {})]


def conducted(
    experiments: Sequence[Component], config: Config, beam_args: Sequence[str] = ()
) -> list[Step]:
    """A run, experiments on its estimates, and the page with all of it."""
    draw, report = presentation()
    steps = [Step(each, {"config": config.model_dump_json()}) for each in experiments]
    return [*training(config), *estimation(config, beam_args), draw, *steps, report]


def memorization(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """All of it."""
    return conducted((), config, beam_args)
