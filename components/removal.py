"""Measures what is lost without memorized examples."""

from __future__ import annotations

from pathlib import Path

from components.experiment import Removal, experiment
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.removal import removal
from tfmem.figures.removal import removal_figure
from tfmem.run import Run


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Removes by the run's memorization."""
    memorization = run.memorization["memorization"].to_numpy(float)
    return removal(config, run.dataset, memorization, folder)


REMOVAL = experiment(Removal, conduct, removal_figure)
