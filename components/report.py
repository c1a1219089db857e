"""Writes the page of a run."""

from __future__ import annotations

from components.component import (
    Component,
    Figures,
    Influence,
    Memorization,
    Page,
    Parameters,
    Paths,
    Predictions,
    SelectedPairs,
)
from tfmem.config import Config
from tfmem.report import render
from tfmem.run import Run


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders one self-contained HTML file."""
    config = Config.model_validate_json(parameters["config"])
    page = render(Run(inputs, lambda: config), inputs["figures"])
    outputs["report"].write_text(page, encoding="utf-8")


REPORT = Component(
    name="report",
    inputs={
        "predictions": Predictions,
        "memorization": Memorization,
        "influence": Influence,
        "pairs": SelectedPairs,
        "figures": Figures,
    },
    outputs={"report": Page},
    parameters={"config": str},
    Do=Do,
)
