"""Measures how near cheaper scores come to memorization."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import Proxies, experiment
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.proxies import proxies
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in
from tfmem.figures.proxies import proxies_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """The run's trials are both the truth and, a few of them, cheaper scores."""
    return proxies(config, run.dataset, lambda: records_in(run.predictions), folder)


PROXIES = experiment(Proxies, conduct, proxies_figure)
