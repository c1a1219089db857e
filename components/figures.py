"""Draws the figures of a run."""

from __future__ import annotations

from tfmem import figures
from tfmem.components.component import Component, Parameters, Paths
from tfmem.datasets import has_classes
from tfmem.datasets.pictures import Pictures
from tfmem.experiments.run import Run
from tfmem.selection.settling import influence_thresholds
from tfmem.store.artifacts import (
    Figures,
    Influence,
    Memorization,
    Predictions,
    SelectedPairs,
    Settings,
)


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Writes each figure as PNG and PDF."""
    run = Run(inputs)
    data, selection, units = run.dataset, run.config.selection, run.units
    memorization = run.memorization["memorization"].to_numpy()
    drawn = {
        "memorization_histogram": figures.memorization_histogram(
            memorization, run.least_memorization, units
        ),
        "influence_histogram": figures.influence_histogram(
            run.pairs["influence"].to_numpy(), influence_thresholds(run.rule), units
        ),
        "memorization_gallery": figures.memorization_gallery(
            Pictures(data, "train"),
            data.train_labels,
            memorization,
            data.class_names if has_classes(data) else ("",),
            units=units,
        ),
    }
    for name, figure in drawn.items():
        figures.save(figure, outputs["figures"], name)
    whole = selection.pairs == "same_class" and selection.sign == "positive"
    most = run.most_influenced if whole else None
    figures.save_pair_galleries(run.pairs, data, outputs["figures"], most, units)


DRAW = Component(
    name="figures",
    inputs={
        "settings": Settings,
        "predictions": Predictions,
        "memorization": Memorization,
        "influence": Influence,
        "pairs": SelectedPairs,
    },
    outputs={"figures": Figures},
    parameters={},
    Do=Do,
)
