"""Finds the layers in which memorization happens."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import LastKLayers, experiment
from tfmem.config import Config
from tfmem.experiments.last_layers import last_k_layers
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.figures.last_layers import last_k_layers_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Compares with the run's own trials."""
    return last_k_layers(config, run.dataset, run.predictions, folder)


LAST_K_LAYERS = experiment(LastKLayers, conduct, last_k_layers_figure)
