"""Does self-influence depend on the seed (Zheng & Jiang 2022, App. C, Table 5)?"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from tfmem.config.base import Settings
from tfmem.experiments.checks import in_memory
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.figures.style import (
    BLUE,
    FAINT,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    literal,
    new_figure,
    plain,
)
from tfmem.messages.backends import import_tensorflow_for
from tfmem.messages.terminal import say
from tfmem.store.artifacts import SelfInfluence


class SeedsSettings(Settings):
    """How many seeds self-influence is compared over (Zheng & Jiang 2022, App. C).

    Attributes:
      models: number of models, each with a seed of its own; the paper trained 3.
    """

    models: Annotated[int, Field(ge=2)] = 3


TOP = 0.1


def seeds(given: Given[SeedsSettings]) -> Outcome:
    """Estimates self-influence in models with other seeds, and compares it with the given one.

    Args:
      given: self-influence of one model.

    Returns:
      The outcome of `compare`.
    """
    import_tensorflow_for("self-influences")
    from tfmem.experiments.self_influence import self_influence, train_model

    config, dataset = given.config, given.dataset
    begin = config.self_influence.trial
    scores = {begin: given.run.memorization["memorization"].to_numpy(float)}
    for trial in range(begin + 1, begin + given.settings.models):
        models = given.folder / "models"
        accuracy = train_model(config, dataset, trial, models)
        say(f"trial {trial}: test accuracy {accuracy:.2%}")
        unfinished = models / f"unfinished-{config.self_influence.solver}-{trial:05d}"
        found = self_influence(config, dataset, trial, models, unfinished)
        scores[trial] = found.scores.memorization
    return compare(np.array(dataset.class_names)[dataset.train_labels], scores)


def compare(classes: np.ndarray, by_trial: Mapping[int, np.ndarray]) -> Outcome:
    """Compares the ranks of self-influence in models that differ in their seeds.

    Args:
      classes: the class name of each training example.
      by_trial: float `[num_train]`, self-influence in the model of each trial.

    Returns:
      One row for each example: `index`, `class`, and self-influence in the columns `trial_0` and
      so on.
    """
    scores = {f"trial_{trial}": values for trial, values in by_trial.items()}
    table = pd.DataFrame({"index": np.arange(len(classes)), "class": classes, **scores})
    said = []
    for one, other in combinations(scores, 2):
        ranks = rank_correlation(scores[one], scores[other])
        within = [
            rows[one].corr(rows[other], method="spearman") for _, rows in table.groupby("class")
        ]
        common, size = overlap(scores[one], scores[other])
        said.append(
            f"Trials {one[6:]} and {other[6:]}: Spearman's correlation is {ranks.value:.3f} "
            f"({ranks.low:.3f} to {ranks.high:.3f}), and at least {pd.Series(within).min():.3f} "
            f"within a class; {common / size:.0%} of the {size:,} examples in the top {TOP:.0%} "
            "are the same."
        )
    return Outcome(tuple(said), table)


def overlap(first: np.ndarray, second: np.ndarray) -> tuple[int, int]:
    """Numbers of examples that are in the top 10% of both sides, and of a single side.

    Args:
      first: float `[examples]`; examples with NaN on either side are left out.
      second: float `[examples]`.
    """
    known = ~np.isnan(first) & ~np.isnan(second)
    size = max(1, round(TOP * int(known.sum())))
    one, other = (np.argsort(-side[known], kind="stable")[:size] for side in (first, second))
    return len(np.intersect1d(one, other)), size


_COLORS = (VERMILION, BLUE, GREEN, ORANGE, PURPLE, SKY)
_MOST = 4  # models that are drawn beside the first


def seeds_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the ranks in each of the other models over those in the first.

    Args:
      table: the table of `compare`.
    """
    first, *others = [name for name in table.columns if name.startswith("trial_")]
    others = others[:_MOST]
    figure = new_figure(4 * len(others), 4.4)
    ranks = table[[first, *others]].dropna().rank(pct=True)
    for axes, other in zip(figure.subplots(1, len(others), squeeze=False)[0], others, strict=True):
        plain(axes).plot([0, 1], [0, 1], color=FAINT, linewidth=1)
        for number, (name, rows) in enumerate(ranks.groupby(table["class"])):
            axes.plot(
                rows[first], rows[other], ".", color=_COLORS[number % len(_COLORS)], alpha=0.4,
                markersize=4, markeredgewidth=0, rasterized=True, label=literal(str(name)),
            )  # fmt: skip
        axes.set_title(f"Spearman {ranks[first].corr(ranks[other]):.3f}", fontsize=10)
        axes.set_xlabel(f"rank of self-influence, trial {first[6:]}")
        axes.set_ylabel(f"trial {other[6:]}")
        axes.set_aspect("equal")
    if table["class"].nunique() <= len(_COLORS):
        axes.legend(frameon=False, fontsize=9, loc="lower right", markerscale=3)
    return figure


EXPERIMENT = Experiment(
    name="seeds",
    question="Does self-influence depend on the seed?",
    source="Zheng & Jiang (2022), App. C, Table 5",
    trains="all models but one",
    reading=(
        "Each point is an example, by its rank in one model and in another. Points near the line "
        "mean that one model would do; a band of one colour off the line means that a class as a "
        "whole has shifted."
    ),
    settings=SeedsSettings,
    needs=(SelfInfluence,),
    sections=("seed", "dataset", "model", "task", "training", "self_influence"),
    conduct=seeds,
    draw=seeds_figure,
    checks=(in_memory,),
    results="findings.md#seeds",
    gradients=True,
)
