"""Writes the page of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import EXPERIMENTS
from tfmem.components.self_influence import SELF_INFLUENCE
from tfmem.config import Config
from tfmem.experiments import declared
from tfmem.experiments.run import Run
from tfmem.influence_functions.attribution.records import (
    ATTRIBUTION_NAME,
    is_complete,
    read_attributions,
)
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pages.experiments import render_experiments
from tfmem.pages.report import render, write_folder
from tfmem.selection.rules import read_rule
from tfmem.selection.settling import describe_selection
from tfmem.store.artifacts import (
    Artifact,
    AttributedTests,
    Attributions,
    Consistency,
    Figures,
    Influence,
    InfluencePairs,
    Memorization,
    Page,
    Predictions,
    RunComparison,
    SelectedPairs,
    Settings,
    outcome_of,
)
from tfmem.store.json_files import read_object, value_of
from tfmem.store.results import (
    RULE_NAME,
    read_identity,
    read_memorization,
    read_pairs,
    read_selection,
)

_EXPERIMENTS: dict[str, type[Artifact]] = {
    "attribution": Attributions,
    "influence-pairs": InfluencePairs,
    "attributed-tests": AttributedTests,
    "consistency": Consistency,
    "comparison": RunComparison,
    **{name: component.outputs["outcome"] for name, component in EXPERIMENTS.items()},
}
_RENAMED = {each.formerly: each.name for each in declared().values() if each.formerly}
_FORMER = {f"experiments/{name}": outcome_of(name) for name in _RENAMED}
_KEPT = {each.name: each.outputs["memorization"] for each in SELF_INFLUENCE.values()}


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders one self-contained HTML file."""
    found = _experiments(inputs)
    page = render(Run(inputs), inputs["figures"], found, attributions=_words(found))
    outputs["report"].write_text(page, encoding="utf-8")


def write_alone(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Renders the experiments of a folder without a run, and the texts that they analyse."""
    config: Config = parameters["config"]
    experiments = _experiments(inputs, inputs.get("memorization"))
    examples = None
    if "memorization" in inputs and config.dataset.of_texts:
        from tfmem.datasets import load

        examples = load(config.dataset), read_memorization(inputs["memorization"])
    pairs, selection = None, ""
    if "influence-pairs" in experiments:
        folder = experiments["influence-pairs"]
        pairs = read_pairs(folder)
        selection = describe_selection(read_rule(folder), read_selection(folder))
    words = _words(experiments)
    page = render_experiments(config, experiments, examples, words, pairs, selection)
    outputs["report"].write_text(page, encoding="utf-8")


def write_beside(folder: Path, examples: int, out: Path) -> None:
    """Writes the page of a finished run as a folder, with more examples.

    Args:
      folder: the folder of the run.
      examples: most training examples, and most test examples, on the page.
      out: receives `index.html` and the files that it loads.
    """
    kinds = {**REPORT.inputs, **REPORT.optional}
    paths = {name: folder / kind.place for name, kind in kinds.items()}
    experiments = _experiments({name: path for name, path in paths.items() if path.exists()})
    words = _words(experiments)
    write_folder(Run(paths), paths["figures"], experiments, examples, out, words)


def _experiments(places: Paths, kept: Path | None = None) -> dict[str, Path]:
    """Folders of experiments, without those that rest on other self-influence than the present.

    Args:
      places: paths of artifacts, by name.
      kept: the self-influence of the page; None takes the one that the experiments name.
    """
    former = {new: places.get(f"experiments/{old}") for old, new in _RENAMED.items()}
    shown = {name: places.get(name) or former.get(name) for name in _EXPERIMENTS}
    found = {name: place for name, place in shown.items() if place is not None}
    there = {kind.place: places[name] for name, kind in _KEPT.items() if name in places}
    for name, file in (("attribution", ATTRIBUTION_NAME), ("influence-pairs", RULE_NAME)):
        if name in found and not _is_current(found[name] / file, there, kept):
            say(f"{found[name]}: of other self-influence than is there now, left out of the page")
            del found[name]
    return found


def _is_current(file: Path, there: Mapping[str, Path], kept: Path | None) -> bool:
    try:
        noted = value_of(read_object(file), "self_influence", dict, str(file))
        return bool(noted == read_identity(kept or there[noted["estimator"]]))
    except (KeyError, TypeError, InputError):
        return False


def _words(experiments: Paths) -> pd.DataFrame | None:
    """Attributions to words, if there are any."""
    if "attribution" not in experiments or not is_complete(experiments["attribution"]):
        return None
    found = read_attributions(experiments["attribution"])
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
    optional={**_EXPERIMENTS, **_FORMER, **_KEPT},
    outputs={"report": Page},
    parameters={},
    Do=Do,
)

EXPERIMENTS_ALONE = Component(
    name="experiments-report",
    inputs={},
    optional={**_EXPERIMENTS, **_FORMER, **_KEPT},
    outputs={"report": Page},
    parameters={},
    sections=tuple(Config.model_fields),
    Do=write_alone,
)
