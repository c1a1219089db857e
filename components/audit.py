"""Audits the training examples of a run."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfmem.audit.conclusion import Audit, audit, flagged
from tfmem.audit.evidence import of_one_model, of_trials
from tfmem.audit.opinion import asks, read_opinion
from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.second_opinion import SecondOpinion
from tfmem.config import Config
from tfmem.datasets import AnyDataset, load
from tfmem.experiments.run import Run
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.pages.audit import render
from tfmem.store.artifacts import (
    Artifact,
    Memorization,
    Predictions,
    SelfInfluence,
    Settings,
    TrainedModel,
)
from tfmem.store.pairs import ModelInfluence
from tfmem.store.results import check_labels, estimator_of, read_self_influence
from tfmem.store.spreadsheets import to_csv

_ONE_MODEL = (
    "seed", "dataset", "model", "task", "training", "self_influence", "selection",
    "experiments.audit",
)  # fmt: skip


class AuditPage(Artifact):
    """The examples that deserve a look, as a page."""

    place = "audit.html"


class AuditTable(Artifact):
    """The examples that deserve a look, as CSV with one row for each example and reason."""

    place = "audit.csv"


def on_trials(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Audits a run by its trials: writes page and table, and prints the findings."""
    config: Config = parameters["config"]
    run = Run(inputs)
    evidence, data = of_trials(run, config), run.dataset
    _write(audit(evidence, data, config, _opinion(inputs, config)), data, config, outputs)


def on_one_model(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Audits a run by one model, that of the self-influences: writes page and table."""
    config: Config = parameters["config"]
    kept = inputs["memorization"]
    data, opinion = load(config.dataset), _opinion(inputs, config)

    def influences(chosen: np.ndarray) -> Iterator[ModelInfluence]:
        import_tensorflow_for("self-influences")
        from tfmem.experiments.self_influence import kept_influences

        return kept_influences(config, data, inputs["weights"], chosen)

    known, said = read_self_influence(kept), estimator_of(kept)
    check_labels(known, data.train_labels, kept, data.name)
    evidence = of_one_model(known, influences, data.test_labels, config, opinion, said)
    _write(audit(evidence, data, config, opinion), data, config, outputs)


def _opinion(inputs: Paths, config: Config) -> np.ndarray | None:
    there = asks(config) and "opinion" in inputs
    return read_opinion(inputs["opinion"]) if there else None


def _write(found: Audit, data: AnyDataset, config: Config, outputs: Paths) -> None:
    table = flagged(found, data)
    outputs["table"].write_bytes(to_csv(table, "%.5g"))
    outputs["page"].write_text(render(data, config, found), encoding="utf-8")
    say("\n".join(found.summary))


AUDIT = Component(
    name="audit",
    inputs={"settings": Settings, "predictions": Predictions, "memorization": Memorization},
    optional={"opinion": SecondOpinion},
    outputs={"page": AuditPage, "table": AuditTable},
    parameters={},
    sections=("dataset", "model", "task", "training", "selection", "experiments.audit"),
    Do=on_trials,
)

AUDIT_ONE_MODEL = Component(
    name="audit-one-model",
    inputs={"weights": TrainedModel, "memorization": SelfInfluence},
    optional={"opinion": SecondOpinion},
    outputs={"page": AuditPage, "table": AuditTable},
    parameters={},
    sections=_ONE_MODEL,
    without=("training.trials",),
    Do=on_one_model,
)
