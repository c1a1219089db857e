"""The main chain: training, estimation, selection, figures, report."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.components.estimate import AUTO, ESTIMATE
from tfmem.components.figures import DRAW
from tfmem.components.report import REPORT
from tfmem.components.select import SELECT
from tfmem.components.train import TRAIN
from tfmem.config import Config, ElsewhereSettings
from tfmem.pipelines.runner import Step, configured


def training(config: Config) -> list[Step]:
    """The steps that train the trials of a run: none if another program has trained them."""
    if isinstance(config.model, ElsewhereSettings):
        return []
    return [configured(TRAIN, config)]


def estimation(config: Config, beam_args: Sequence[str]) -> list[Step]:
    """The steps that estimate from predictions, and select pairs."""
    arguments = list(beam_args)
    return [
        Step(
            ESTIMATE,
            {"statistic": config.estimation.statistic or AUTO, "beam_args": arguments},
        ),
        configured(SELECT, config, {"beam_args": arguments}),
    ]


def presentation() -> list[Step]:
    """The steps that draw figures and write the page."""
    return [Step(DRAW, {}), Step(REPORT, {})]


def run(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """The steps that make the estimates and their figures."""
    return [*training(config), *estimation(config, beam_args), Step(DRAW, {})]


def memorization(config: Config, beam_args: Sequence[str] = ()) -> list[Step]:
    """All steps of a run, from training to the page."""
    return [*run(config, beam_args), Step(REPORT, {})]
