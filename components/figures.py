"""Draws the figures of a run."""

from __future__ import annotations

from components.component import (
    Component,
    Figures,
    Influence,
    Memorization,
    Parameters,
    Paths,
    Predictions,
    SelectedPairs,
    Settings,
)
from tfmem import figures
from tfmem.datasets.pictures import Pictures
from tfmem.run import Run
from tfmem.selection import influence_thresholds

_ROWS, _COLUMNS = 6, 4


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Writes each figure as PNG and PDF."""
    run = Run(inputs)
    data, selection = run.dataset, run.config.selection
    train, test = Pictures(data, "train"), Pictures(data, "test")
    memorization = run.memorization["memorization"].to_numpy()
    drawn = {
        "memorization_histogram": figures.memorization_histogram(
            memorization, selection.memorization
        ),
        "influence_histogram": figures.influence_histogram(
            run.pairs["influence"].to_numpy(), influence_thresholds(selection)
        ),
        "memorization_gallery": figures.memorization_gallery(
            train, data.train_labels, memorization, data.class_names
        ),
        "pair_gallery": figures.pair_gallery(train, test, _gallery_rows(run), _COLUMNS),
    }
    for name, figure in drawn.items():
        figures.save(figure, outputs["figures"], name)


def _gallery_rows(run: Run) -> list[figures.InfluenceRow]:
    """Training examples spread evenly over the pairs, sorted by influence, each taken once."""
    pairs = run.pairs.drop_duplicates("train_index")
    rows = []
    for position in figures.spread_evenly(len(pairs), _ROWS):
        pair = pairs.iloc[position]
        index = int(pair["train_index"])
        most = run.influence[int(pair["label"])].most_influenced(index, _COLUMNS)
        rows.append(figures.InfluenceRow(index, float(pair["memorization"]), *most))
    return rows


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
