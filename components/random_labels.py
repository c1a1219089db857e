"""Measures what happens to memorization when labels are replaced at random."""

from __future__ import annotations

from pathlib import Path

from components.experiment import RandomLabels, experiment
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.random_labels import random_labels
from tfmem.figures.random_labels import random_labels_figure
from tfmem.run import Run


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Compares with the run's memorization and test accuracy."""
    memorization = run.memorization["memorization"].to_numpy(float)
    accuracy = run.trials.query("not diverged")["test_accuracy"].to_numpy(float)
    return random_labels(config, run.dataset, memorization, accuracy, folder)


RANDOM_LABELS = experiment(RandomLabels, conduct, random_labels_figure)
