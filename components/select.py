"""Selects high-influence pairs from class-wise influence, with Beam."""

from __future__ import annotations

from components.component import (
    Component,
    Influence,
    Parameters,
    Paths,
    Predictions,
    SelectedPairs,
    Settings,
)
from tfmem.aggregation.jobs import select_pairs
from tfmem.config import Config
from tfmem.training import check_directory


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Runs the Beam job on all influence records, and leaves the settings beside the pairs."""
    config = Config.model_validate_json(parameters["config"])
    counters = select_pairs(
        influence=[str(path) for path in inputs["influence"].glob("influence-*.tfrecord")],
        folder=str(outputs["pairs"]),
        selection=config.selection,
        beam_args=parameters["beam_args"],
    )
    begun = check_directory(inputs["predictions"], config)
    resolved = config.model_copy(update={"training": (begun or config).training})
    outputs["settings"].write_text(resolved.to_yaml(), encoding="utf-8")
    print(f"{counters.get('pairs_written', 'some'):,} pairs selected")


SELECT = Component(
    name="select",
    inputs={"predictions": Predictions, "influence": Influence},
    outputs={"pairs": SelectedPairs, "settings": Settings},
    parameters={"config": str, "beam_args": list},
    Do=Do,
)
