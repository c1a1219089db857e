"""Experiments as components: each begins with a run's estimates and ends with table and figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from tfmem import figures
from tfmem.components.component import Component, Parameters, Paths
from tfmem.config import Config
from tfmem.datasets import AnyDataset, load
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.messages.terminal import say
from tfmem.store.artifacts import (
    Artifact,
    Influence,
    Memorization,
    Predictions,
    SelectedPairs,
    Settings,
)
from tfmem.store.results import check_labels, estimator_of, read_memorization

FIGURE_NAME = "figure"


class Removal(Artifact):
    """What is lost without memorized examples."""

    place = "experiments/removal"


class Typicality(Artifact):
    """Whether memorized sentences are atypical."""

    place = "experiments/typicality"


class Instances(Artifact):
    """Most and least memorized examples."""

    place = "experiments/instances"


class Seeds(Artifact):
    """Whether other seeds give the same self-influence."""

    place = "experiments/seeds"


class ReductionRate(Artifact):
    """How much self-influence is lost with the words it is attributed to."""

    place = "experiments/reduction-rate"


class Estimators(Artifact):
    """Self-influence beside the subsampled estimator."""

    place = "experiments/estimators"


class PairUtility(Artifact):
    """What the training examples of the selected pairs are worth."""

    place = "experiments/pair-utility"


class LeaveOneOut(Artifact):
    """Estimates beside leave-one-out."""

    place = "experiments/leave-one-out"


class FractionChoice(Artifact):
    """Errors by subset fraction."""

    place = "experiments/fraction"


class LabelErrors(Artifact):
    """How well memorization finds wrong labels."""

    place = "experiments/label-errors"


class RandomLabels(Artifact):
    """What happens to memorization when labels are replaced at random."""

    place = "experiments/random-labels"


class Proxies(Artifact):
    """How near cheaper scores come to memorization."""

    place = "experiments/proxies"


class MemInfl(Artifact):
    """Whether memorized examples have influence."""

    place = "experiments/mem-infl"


class Halves(Artifact):
    """Whether two halves of the trials find the same."""

    place = "experiments/consistency"


class LastLayer(Artifact):
    """What the last layer memorizes."""

    place = "experiments/last-layer"


class LastKLayers(Artifact):
    """In which layers memorization happens."""

    place = "experiments/last-k-layers"


RUN: dict[str, type[Artifact]] = {
    "settings": Settings,
    "predictions": Predictions,
    "memorization": Memorization,
    "influence": Influence,
    "pairs": SelectedPairs,
}


def experiment(
    kind: type[Artifact],
    conduct: Callable[[Run, Config, Path], Outcome],
    draw: Callable[[pd.DataFrame], Figure],
) -> Component:
    """The component of an experiment, named as its folder is.

    Args:
      kind: its outcome.
      conduct: the experiment itself, given a run, settings, and the folder to work in; if it is
        stopped, it is called again on the same folder.
      draw: the figure of its table.
    """

    def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
        config = Config.model_validate_json(parameters["config"])
        folder = outputs["outcome"]
        conclude(conduct(Run(inputs), config, folder), draw, folder)

    return Component(
        name=Path(kind.place).name,
        inputs=RUN,
        outputs={"outcome": kind},
        parameters={"config": str},
        Do=Do,
        resumable=True,
        parts=(conduct, draw),
    )


def on_memorization(
    kind: type[Artifact],
    conduct: Callable[[pd.DataFrame, AnyDataset, Config, Path], Outcome],
    draw: Callable[[pd.DataFrame, AnyDataset], Figure],
    source: type[Memorization] = Memorization,
) -> Component:
    """The component of an experiment that needs nothing of a run but memorization.

    Args:
      kind: its outcome.
      conduct: the experiment itself, given memorization records, the examples, settings, and the
        folder to work in.
      draw: the figure of its table, which may show examples.
      source: whose memorization it is; by default that of any estimator.
    """

    def Do(inputs: Paths, outputs: Paths, parameters: Parameters) -> None:
        config = Config.model_validate_json(parameters["config"])
        folder, dataset = outputs["outcome"], load(config.dataset)
        memorization = read_memorization(inputs["memorization"])
        check_labels(memorization, dataset.train_labels, inputs["memorization"], dataset.name)
        outcome = conduct(memorization, dataset, config, folder)
        by = estimator_of(inputs["memorization"])
        outcome = replace(outcome, findings=(*outcome.findings, by))
        conclude(outcome, lambda table: draw(table, dataset), folder)

    return Component(
        name=Path(kind.place).name,
        inputs={"memorization": source},
        outputs={"outcome": kind},
        parameters={"config": str},
        Do=Do,
        resumable=True,
        parts=(conduct, draw),
    )


def conclude(outcome: Outcome, draw: Callable[[pd.DataFrame], Figure], folder: Path) -> None:
    """Leaves figure, table and findings, and says what was found."""
    figures.save(draw(outcome.table), folder, FIGURE_NAME)
    outcome.save(folder)
    say("\n".join(outcome.findings))
