"""Compares runs with the first of them: tables, figures and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from tfmem.components.component import Component, Parameters, Paths
from tfmem.components.experiment import FIGURE_NAME
from tfmem.config import Config
from tfmem.experiments.comparison import (
    LAST_LAYER_COLUMNS,
    comparison_table,
    in_words,
    last_layer_row,
)
from tfmem.experiments.consistency import Comparison, Rule, consistency, describe, rule_of
from tfmem.experiments.outcome import Outcome, load_outcome
from tfmem.figures import Agreeing, agreement_figure, save
from tfmem.figures.agreement import SUFFICIENT
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.pages.comparison import render
from tfmem.store.artifacts import Artifact, Predictions, RunComparison, outcome_of
from tfmem.store.files import write_atomically
from tfmem.store.spreadsheets import to_csv

NAME = "consistency"
_LAST = "/last-layer"  # no folder is called so


class ComparisonPage(Artifact):
    """The comparison of runs, as a page."""

    place = "comparison.html"


def compare(runs: Sequence[Path], out: Path, rule: Rule, other_inputs: bool) -> list[Comparison]:
    """Compares runs, and writes tables (`consistency.csv`, `errors.csv`) and the figure.

    Args:
      runs: folders with `predictions`; see `tfmem.experiments.consistency.consistency`.
      out: receives the files.
      rule: the rule of selection.
      other_inputs: whether runs may have been trained on different inputs.

    Raises:
      InputError: if a run cannot be read, is of other data, or `out` cannot be written.
    """
    predictions = [run / Predictions.place for run in runs]
    return _compare(predictions, out, rule, other_inputs, None)


def _compare(
    predictions: Sequence[Path],
    out: Path,
    rule: Rule,
    other_inputs: bool,
    names: Sequence[str] | None,
) -> list[Comparison]:
    comparisons = consistency(predictions, out, rule, other_inputs, names)
    drawn = [
        Agreeing(describe(each.second), each.memorization, each.influence) for each in comparisons
    ]
    thresholds = rule.memorization, rule.influence
    reference, unit = describe(comparisons[0].first), comparisons[0].unit
    try:
        save(agreement_figure(drawn, reference, thresholds, SUFFICIENT, unit), out, NAME)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    return comparisons


def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
    """Compares runs with the first, and the halves of the first, which show the noise."""
    config: Config = parameters["config"]
    runs = [name for name in inputs if name != _LAST]
    predictions = [inputs[name] for name in runs]
    rule = rule_of(config.selection, predictions[0])
    out = outputs["comparison"]
    (halves,) = _compare(predictions[:1], out / "halves", rule, False, None)
    others = _compare(predictions, out, rule, False, runs)
    table = comparison_table(halves, others)
    figures = {"runs": out / NAME}
    last: Outcome | None = None
    if _LAST in inputs:
        last = load_outcome(inputs[_LAST], LAST_LAYER_COLUMNS)
        table = pd.concat([table, last_layer_row(last, runs[0])], ignore_index=True)
        figures["last_layer"] = inputs[_LAST] / FIGURE_NAME
    write_atomically(out / "table.csv", to_csv(table, "%.6g"))
    page = render(table, config, runs[0], figures, last, others[0])
    outputs["page"].write_text(page, encoding="utf-8")
    say("\n".join(in_words(table, others[0].units)))


def comparing(names: Sequence[str], last_layer: bool) -> Component:
    """The component that compares some runs, each in a folder of its own.

    Args:
      names: names of at least two folders; the others are compared with the first.
      last_layer: whether the experiment last-layer was conducted on the first run.
    """
    places = {name: f"{name}/predictions" for name in names}
    if last_layer:
        places[_LAST] = f"{names[0]}/{outcome_of('last-layer').place}"
    return Component(
        name="compare",
        inputs={name: type(name, (Artifact,), {"place": place}) for name, place in places.items()},
        outputs={"comparison": RunComparison, "page": ComparisonPage},
        parameters={},
        sections=("dataset", "training", "selection"),
        Do=Do,
    )
