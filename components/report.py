"""Writes the page of a run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from components.component import (
    Artifact,
    Attributions,
    Component,
    Consistency,
    Figures,
    Influence,
    InfluencePairs,
    Memorization,
    Page,
    Parameters,
    Paths,
    Predictions,
    RunComparison,
    SelectedPairs,
    Settings,
)
from components.experiment import (
    Estimators,
    FractionChoice,
    Halves,
    Instances,
    LabelErrors,
    LastKLayers,
    LastLayer,
    LeaveOneOut,
    MemInfl,
    PairUtility,
    Proxies,
    RandomLabels,
    ReductionRate,
    Removal,
    Seeds,
    Typicality,
)
from tfmem.attribution.records import is_complete, read_attributions
from tfmem.config import Config
from tfmem.experiments_page import render_experiments
from tfmem.report import render, write_folder
from tfmem.results import read_memorization, read_pairs, read_rule, read_selection
from tfmem.run import Run
from tfmem.selection.settling import describe

_EXPERIMENTS: dict[str, type[Artifact]] = {
    "attribution": Attributions,
    "influence-pairs": InfluencePairs,
    "consistency": Consistency,
    "comparison": RunComparison,
    "removal": Removal,
    "pair-utility": PairUtility,
    "leave-one-out": LeaveOneOut,
    "fraction": FractionChoice,
    "label-errors": LabelErrors,
    "random-labels": RandomLabels,
    "proxies": Proxies,
    "mem-infl": MemInfl,
    "halves": Halves,
    "last-layer": LastLayer,
    "last-k-layers": LastKLayers,
    "typicality": Typicality,
    "instances": Instances,
    "seeds": Seeds,
    "estimators": Estimators,
    "reduction-rate": ReductionRate,
}


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders one self-contained HTML file."""
    experiments = {name: inputs[name] for name in _EXPERIMENTS if name in inputs}
    page = render(Run(inputs), inputs["figures"], experiments, attributions=_words(inputs))
    outputs["report"].write_text(page, encoding="utf-8")


def write_alone(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders the experiments of a folder that holds no run, and the texts that they are of."""
    config = Config.model_validate_json(parameters["config"])
    experiments = {name: inputs[name] for name in _EXPERIMENTS if name in inputs}
    examples = None
    if "memorization" in inputs and config.dataset.of_texts:
        from tfmem.datasets import load

        examples = load(config.dataset), read_memorization(inputs["memorization"])
    pairs, selection = None, ""
    if "influence-pairs" in inputs:
        folder = inputs["influence-pairs"]
        pairs, selection = read_pairs(folder), describe(read_rule(folder), read_selection(folder))
    page = render_experiments(config, experiments, examples, _words(inputs), pairs, selection)
    outputs["report"].write_text(page, encoding="utf-8")


def write_beside(folder: Path, examples: int, out: Path) -> None:
    """Writes the page of a finished run as a folder, with more examples.

    Args:
      folder: the run's.
      examples: how many training, and test, examples at most.
      out: receives `index.html` and what it loads.
    """
    kinds = {**REPORT.inputs, **REPORT.optional}
    paths = {name: folder / kind.place for name, kind in kinds.items()}
    experiments = {name: paths[name] for name in _EXPERIMENTS if paths[name].exists()}
    write_folder(Run(paths), paths["figures"], experiments, examples, out, _words(paths))


def _words(places: Paths) -> pd.DataFrame | None:
    """Attributions to words, if there are any."""
    if "attribution" not in places or not is_complete(places["attribution"]):
        return None
    found = read_attributions(places["attribution"])
    return found.dropna(subset="replace") if found["words"].map(len).all() else None


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
    optional=_EXPERIMENTS,
    outputs={"report": Page},
    parameters={},
    Do=Do,
)

EXPERIMENTS_ALONE = Component(
    name="experiments-report",
    inputs={},
    optional=_EXPERIMENTS,
    outputs={"report": Page},
    parameters={"config": str},
    Do=write_alone,
)
