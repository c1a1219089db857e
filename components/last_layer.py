"""Compares the last layer alone with the whole network."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import LastLayer, experiment
from tfmem.config import Config
from tfmem.experiments.last_layers import last_layer
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.agreement import agreement_of_table


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Compares with the run's own trials."""
    return last_layer(config, run.dataset, run.predictions, folder)


LAST_LAYER = experiment(LastLayer, conduct, agreement_of_table)
