"""Selects high-influence pairs from class-wise influence, with Beam."""

from __future__ import annotations

from components.component import Component, Influence, Parameters, Paths, SelectedPairs
from tfmem.aggregation.jobs import select_pairs
from tfmem.config import SelectionSettings


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Runs the Beam job on all influence records."""
    select_pairs(
        influence=str(inputs["influence"] / "*.tfrecord"),
        folder=str(outputs["pairs"]),
        selection=SelectionSettings.model_validate_json(parameters["selection"]),
        beam_args=parameters["beam_args"],
    )


SELECT = Component(
    name="select",
    inputs={"influence": Influence},
    outputs={"pairs": SelectedPairs},
    parameters={"selection": str, "beam_args": list},
    Do=Do,
)
