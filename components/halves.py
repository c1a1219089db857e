"""Compares the two halves of a run's trials."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import Halves, experiment
from tfmem.config import Config
from tfmem.experiments.halves import halves
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.agreement import agreement_of_table


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Needs nothing beside the run's predictions."""
    return halves(config, run.predictions, folder)


HALVES = experiment(Halves, conduct, agreement_of_table)
