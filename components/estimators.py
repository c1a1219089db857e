"""Compares self-influence with the subsampled estimator."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import Estimators, conclude
from tfmem.config import Config
from tfmem.experiments.estimators import estimators
from tfmem.experiments.summed import records_in
from tfmem.figures.estimators import estimators_figure
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions, SelfInfluence, TrialTable
from tfmem.store.json_files import value_of
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.results import SUMMARY_NAME, read_memorization, read_summary
from tfmem.store.spreadsheets import read_csv


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Trains nothing: trials and model are there."""
    config = Config.model_validate_json(parameters["config"])
    path = inputs["predictions"] / LABELS_NAME
    labels = Labels.from_npz(path.read_bytes(), str(path)).train_labels
    found = read_memorization(inputs["self_influence"])
    if found["label"].tolist() != labels.tolist():
        raise InputError(f"{inputs['self_influence']}: made with other data than the trials")
    summary = read_summary(inputs["self_influence"])
    source = str(inputs["self_influence"] / SUMMARY_NAME)
    seconds = value_of(summary, "cpu_seconds", float, source)
    solver = value_of(summary, "estimator", str, source)
    trials = read_csv(inputs["table"], ["seconds"])
    cost = (
        f"Cost: {len(trials):,} trainings on {config.training.fraction:.0%} of the examples, "
        f"{trials['seconds'].sum():,.0f} s in their lanes; against one training on all of them and "
        f"{seconds:,.1f} s of processor time to solve ({solver})."
    )
    outcome = estimators(
        config,
        labels,
        lambda: records_in(inputs["predictions"]),
        found["memorization"].to_numpy(float),
        cost,
    )
    conclude(outcome, estimators_figure, outputs["outcome"])


ESTIMATORS = Component(
    name="estimators",
    inputs={"predictions": Predictions, "table": TrialTable, "self_influence": SelfInfluence},
    outputs={"outcome": Estimators},
    parameters={"config": str},
    Do=Do,
    resumable=True,
)
