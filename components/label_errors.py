"""Measures how well memorization finds wrong labels."""

from __future__ import annotations

from pathlib import Path

from components.experiment import LabelErrors, experiment
from tfmem.aggregation.one_by_one import each_trial
from tfmem.config import Config
from tfmem.datasets import load
from tfmem.errors import InputError
from tfmem.experiments.label_errors import label_errors
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.summed import sum_trials
from tfmem.figures.label_errors import label_errors_figure
from tfmem.predictions import LABELS_NAME
from tfmem.run import Run
from tfmem.training import train


def conduct(run: Run, config: Config, folder: Path) -> Outcome:
    """On the run, if labels were replaced in it; else on a run of its own in which they are."""
    dataset, predictions = run.dataset, run.predictions
    if dataset.clean_train_labels is None:
        settings = config.experiments.label_errors
        noise = config.dataset.model_copy(update={"label_noise": settings.noise})
        number = settings.trials or config.training.trials
        config = config.model_copy(
            update={
                "dataset": noise,
                "training": config.training.model_copy(update={"trials": number}),
            }
        )
        dataset, predictions = load(noise), folder / "predictions"
        if train(config, dataset, folder).elsewhere:
            raise InputError("other workers are still training; run this again when they are done")
    records = each_trial(
        str(predictions / "predictions-*.tfrecord"), str(predictions / LABELS_NAME)
    )
    return label_errors(config, dataset, sum_trials(records, dataset.train_labels), folder)


LABEL_ERRORS = experiment(LabelErrors, conduct, label_errors_figure)
