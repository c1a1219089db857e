"""Compares memorization with influence."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import MemInfl, experiment
from tfmem.config import Config
from tfmem.experiments.mem_infl import mem_infl
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.mem_infl import mem_infl_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Needs nothing beside the run's estimates."""
    del config, folder
    return mem_infl(run)


MEM_INFL = experiment(MemInfl, conduct, mem_infl_figure)
