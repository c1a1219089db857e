"""Compares subset fractions."""

from __future__ import annotations

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import RUN, FractionChoice, LeaveOneOut, conclude
from tfmem.config import Config
from tfmem.experiments.fraction import COLUMNS, fraction
from tfmem.experiments.outcome import FINDINGS_NAME, load_outcome
from tfmem.experiments.run import Run
from tfmem.figures.fraction import fraction_figure


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """With leave-one-out, if that experiment has been conducted on the run."""
    config = Config.model_validate_json(parameters["config"])
    known = inputs.get("leave_one_out")
    conducted = known is not None and (known / FINDINGS_NAME).exists()
    reference = load_outcome(known, COLUMNS).table if known is not None and conducted else None
    outcome = fraction(config, Run(inputs).dataset, reference, outputs["outcome"])
    conclude(outcome, fraction_figure, outputs["outcome"])


FRACTION = Component(
    name="fraction",
    inputs=RUN,
    optional={"leave_one_out": LeaveOneOut},
    outputs={"outcome": FractionChoice},
    parameters={"config": str},
    Do=Do,
    resumable=True,
)
