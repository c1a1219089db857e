"""Measures what happens to memorization when labels are replaced at random."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import RandomLabels, experiment
from tfmem.config import Config
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.random_labels import random_labels
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in, sum_trials
from tfmem.figures.random_labels import random_labels_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """Compares with the run's trials, whatever their memorization was estimated from."""
    memorization = sum_trials(records_in(run.predictions), run.dataset.train_labels).memorization
    accuracy = run.trials.query("not diverged")["test_accuracy"].to_numpy(float)
    return random_labels(config, run.dataset, memorization, accuracy, folder)


RANDOM_LABELS = experiment(RandomLabels, conduct, random_labels_figure)
