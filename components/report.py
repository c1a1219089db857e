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
    Settings,
)
from tfmem.report import render
from tfmem.run import Run


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders one self-contained HTML file."""
    page = render(Run(inputs), inputs["figures"])
    outputs["report"].write_text(page, encoding="utf-8")


REPORT = Component(
    name="report",
    inputs={
        "settings": Settings,
        "predictions": Predictions,
        "memorization": Memorization,
        "influence": Influence,
        "pairs": SelectedPairs,
        "figures": Figures,
    },
    outputs={"report": Page},
    parameters={},
    Do=Do,
)
