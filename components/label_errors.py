"""Measures how well memorization finds wrong labels."""

from __future__ import annotations

from pathlib import Path

from tfmem.components.experiment import LabelErrors, experiment
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.experiments.label_errors import label_errors
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in, sum_trials, trials_on
from tfmem.experiments.training import with_trials
from tfmem.figures.label_errors import label_errors_figure


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """On the run, if labels were replaced in it; else on a run of its own in which they are."""
    dataset = run.dataset
    if dataset.clean_train_labels is None:
        settings = config.experiments.label_errors
        noise = config.dataset.model_copy(update={"label_noise": settings.noise})
        number = settings.trials or config.training.trials
        config = with_trials(config, number).model_copy(update={"dataset": noise})
        dataset = load(noise)
        trials = trials_on(config, dataset, folder)
    else:
        trials = sum_trials(records_in(run.predictions), dataset.train_labels)
    return label_errors(config, dataset, trials, folder)


LABEL_ERRORS = experiment(LabelErrors, conduct, label_errors_figure)
