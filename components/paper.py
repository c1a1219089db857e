"""Draws the figures of Feldman & Zhang (2020) from a run, by their numbers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfmem import figures
from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import FIGURE_NAME
from tfmem.datasets import has_classes
from tfmem.datasets.pictures import Pictures
from tfmem.experiments.outcome import TABLE_NAME
from tfmem.experiments.run import Run
from tfmem.messages.errors import InputError
from tfmem.selection.settling import influence_thresholds
from tfmem.store.artifacts import (
    Artifact,
    Consistency,
    Influence,
    Memorization,
    Predictions,
    RunComparison,
    SelectedPairs,
    Settings,
    outcome_of,
)
from tfmem.store.spreadsheets import read_csv

_MORE_CLASSES = 12


class PaperFigures(Artifact):
    """The paper's figures as PNG and PDF, named by their numbers."""

    place = "paper_figures"


_MADE_ELSEWHERE = {
    "figure_2": (("removal", FIGURE_NAME),),
    "figure_C2": (
        ("comparison", "consistency"),
        ("consistency", "consistency"),
        ("halves", FIGURE_NAME),
        ("halves_formerly", FIGURE_NAME),
    ),
    "figure_C3": (("last_layer", FIGURE_NAME),),
}


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Draws every figure of the paper for which the run has numbers."""
    run, folder = Run(inputs), outputs["figures"]
    data, selection, units = run.dataset, run.config.selection, run.units
    class_names = data.class_names if has_classes(data) else ("",)
    memorization = run.memorization["memorization"].to_numpy()
    ranked = figures.most_memorized_classes(data.train_labels, memorization)
    chosen = _labels(parameters["classes"], data.class_names) or sorted(ranked[:6])
    others = sorted([label for label in ranked if label not in chosen][:_MORE_CLASSES])
    for name, rows in (("figure_1", chosen), ("figure_D4", others)):
        if rows:
            drawn = figures.memorization_gallery(
                Pictures(data, "train"), data.train_labels, memorization, class_names, rows,
                units=units,
            )  # fmt: skip
            figures.save(drawn, folder, name)
    influence = run.pairs["influence"].to_numpy()
    thresholds = influence_thresholds(run.rule)
    figures.save(figures.influence_histogram(influence, thresholds, units), folder, "figure_C1")
    pairs = run.pairs
    if parameters["classes"]:
        pairs = pairs[np.isin(pairs["label"], chosen)]
    if len(pairs):
        whole = selection.pairs == "same_class" and selection.sign == "positive"
        galleries = figures.pair_galleries(
            pairs,
            Pictures(data, "train"),
            Pictures(data, "test"),
            figures.captions(pairs, data),
            run.most_influenced if whole else None,
            units=units,
        )
        figures.save(galleries["pair_gallery"], folder, "figure_3")
        figures.save(galleries["pair_gallery_spread"], folder, "figure_D5")
    for name, sources in _MADE_ELSEWHERE.items():
        made = [inputs[key] / file for key, file in sources if _is_the_papers(inputs, key)]
        for source in [path for path in made if path.with_suffix(".png").exists()][:1]:
            for suffix in (".png", ".pdf"):
                shutil.copyfile(source.with_suffix(suffix), folder / f"{name}{suffix}")


def _is_the_papers(inputs: Paths, key: str) -> bool:
    """Whether input `key` exists and is the paper's; removal by shares is Zheng & Jiang's."""
    if key not in inputs or key != "removal":
        return key in inputs
    table = inputs[key] / TABLE_NAME
    return table.exists() and read_csv(table).columns[0] == "threshold"


def _labels(names: Sequence[str], known: Sequence[str]) -> list[int]:
    for name in names:
        if name not in known:
            some = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
            raise InputError(f"classes: {name!r} is none of the {len(known)} classes: {some}")
    return [known.index(name) for name in names]


def contents(folder: Path) -> list[tuple[str, str, str]]:
    """Number, subject and file of each of the paper's figures, or the command that makes it.

    Args:
      folder: folder of a run, with its paper figures.
    """
    none = f"no such pair was selected: tfmem run CONFIG --out {folder} with more trials"
    conduct = f"tfmem experiment {{}} CONFIG --out {folder}"
    listed = [
        ("1", "memorization near 0, 0.5 and 1", "no class"),
        ("2", "removal of memorized examples", conduct.format("removal")),
        ("3", "memorized examples and whom they influence", none),
        ("C.1", "influence of the selected pairs", ""),
        ("C.2", "consistency", f"tfmem consistency {folder} [OTHER RUNS]"),
        ("C.3", "consistency with the last layer alone", conduct.format("last-layer")),
        ("D.4", "as 1, other classes", "there are no other classes"),
        ("D.5", "as 3, more of them (D.5 to D.8)", none),
    ]
    found = []
    for number, subject, otherwise in listed:
        file = folder / PaperFigures.place / f"figure_{number.replace('.', '')}.pdf"
        found.append((number, subject, file.name if file.exists() else f"missing: {otherwise}"))
    return found


PAPER = Component(
    name="paper",
    inputs={
        "settings": Settings,
        "predictions": Predictions,
        "memorization": Memorization,
        "influence": Influence,
        "pairs": SelectedPairs,
    },
    optional={
        "removal": outcome_of("removal"),
        "consistency": Consistency,
        "comparison": RunComparison,
        "halves": outcome_of("halves"),
        "halves_formerly": outcome_of("consistency"),
        "last_layer": outcome_of("last-layer"),
    },
    outputs={"figures": PaperFigures},
    parameters={"classes": list},
    Do=Do,
)
