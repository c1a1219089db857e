"""Audits the training examples of a run."""

from __future__ import annotations

from components.component import (
    Artifact,
    Component,
    Memorization,
    Parameters,
    Paths,
    Predictions,
    Settings,
)
from components.second_opinion import SecondOpinion
from tfmem.audit.conclusion import audit, flagged
from tfmem.audit.opinion import read_opinion
from tfmem.audit.page import render
from tfmem.config import Config
from tfmem.run import Run


class AuditPage(Artifact):
    """What to look at, as a page."""

    place = "audit.html"


class AuditTable(Artifact):
    """The same as CSV, a row for each example and reason."""

    place = "audit.csv"


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Writes page and table, and says what was found."""
    config, run = Config.model_validate_json(parameters["config"]), Run(inputs)
    asked = config.experiments.audit.folds and "opinion" in inputs
    found = audit(run, config, read_opinion(inputs["opinion"]) if asked else None)
    table = flagged(found, run.labels.class_names)
    table.to_csv(outputs["table"], index=False, float_format="%.5g")
    outputs["page"].write_text(render(run, config, found), encoding="utf-8")
    print("\n".join(found.summary))


AUDIT = Component(
    name="audit",
    inputs={"settings": Settings, "predictions": Predictions, "memorization": Memorization},
    optional={"opinion": SecondOpinion},
    outputs={"page": AuditPage, "table": AuditTable},
    parameters={"config": str},
    Do=Do,
)
