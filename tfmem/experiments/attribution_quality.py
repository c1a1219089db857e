"""How good do attributions become as more models are trained for them?

Models on subsets of their own, several on each, judge attributions that are made from growing
numbers of the run's trials by the linear datamodeling score (Park et al. 2023).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from pydantic import Field

from tfmem.aggregation.held_outputs import outputs_in
from tfmem.config.base import Positive, Settings
from tfmem.datamodels.influence import influence_predictions
from tfmem.datamodels.lasso import lasso
from tfmem.datamodels.lds import (
    LinearDatamodelingScore,
    Predict,
    linear_datamodeling_score,
    summed,
)
from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.datamodels.ridge import ridge
from tfmem.experiments.checks import in_memory, right_or_wrong, test_examples
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.measuring import measured
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import independent, train_alone, with_trials, workplace
from tfmem.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    new_figure,
    plain,
)
from tfmem.messages.backends import import_tensorflow_for
from tfmem.store.artifacts import Predictions
from tfmem.store.npz import map_npy

_LEAST = 10  # subsets that each way needs, the lasso for its five parts
_KEY = 23  # of the judging models' seed, which no other experiment has


class QualitySettings(Settings):
    """Which models judge attributions, and from how many trials these are made.

    Attributes:
      subsets: number of subsets that judge.
      repeats: number of models trained on each of them; the noise of fewer hides the score.
      trials: numbers of the run's trials that attributions are made from; those above the number
        that there are stand for all.
      sparse: whether sparse datamodels (lasso) are fitted too, which takes longest.
      models: numbers of models that are trained for TRAK and influence functions.
    """

    subsets: Annotated[int, Field(ge=4)] = 100
    repeats: Positive = 5
    trials: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (
        32, 64, 128, 256, 512, 1024, 2048, 4096,
    )  # fmt: skip
    sparse: bool = True
    models: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 5, 20)


def attribution_quality(given: Given[QualitySettings]) -> Outcome:
    """Judges influence, datamodels and gradients by models that none of them was made from.

    Args:
      given: the run's trials, and model and recipe for the judging models.

    Returns:
      A row for each kind of attributions and number of models: `attributions`, `models`, `lds`,
      `ci_low`, `ci_high`, `subset_stderr`, and the `ceiling` of the judging models; and the cost of
      the attributions without training: `passes` over the training examples, `cpu_seconds`, and
      `memory` in bytes.
    """
    settings = given.settings
    judges = _judges(given)
    margins = outputs_in(given.run.predictions, "margin").by_subset()
    correct = outputs_in(given.run.predictions, "correctness").by_subset()
    rows = []
    ways = chain(_by_gradients(given, judges), _by_trials(given, margins, correct, judges))
    for way in ways:  # one after the other, because each holds what it was made from
        score = linear_datamodeling_score(judges, way.predict, given.config.seed)
        rows.append(_row(way, score))
    table = pd.DataFrame(rows)
    ceiling = float(table["ceiling"].iloc[0])
    said = [
        f"{len(judges.each):,} models on {len(judges):,} other subsets judge, {settings.repeats} "
        f"on each; the noise of training allows a score of at most about {ceiling:.2f}."
    ]
    for each, of_kind in table.groupby("attributions", sort=False):
        best = of_kind.iloc[-1]
        trained = f"{best['models']:,.0f} model{'s' if best['models'] > 1 else ''}"
        said.append(
            f"{NAMES[str(each)][0].capitalize()}, from {trained}: LDS {best['lds']:.3f} "
            f"({best['ci_low']:.3f} to {best['ci_high']:.3f}), "
            f"{best['cpu_seconds']:.1f} s of processor time beside training."
        )
    return Outcome(tuple(said), table)


def _judges(given: Given[QualitySettings]) -> SubsetOutputs:
    """The outputs of models on subsets that are independent of the run's."""
    settings = given.settings
    config = with_trials(
        independent(given.config, _KEY),
        settings.subsets * settings.repeats,
        repeats=settings.repeats,
        probabilities=True,
    )
    out = workplace(given.folder, config, given.dataset)
    train_alone(config, given.dataset, out)
    return outputs_in(out / "predictions", "margin").by_subset()


@dataclass(frozen=True)
class _Way:
    """Attributions of a kind, made from some number of trained models, and their cost."""

    kind: str
    models: int
    predict: Predict
    passes: int
    cpu_seconds: float
    memory: int


def _by_gradients(given: Given[QualitySettings], judges: SubsetOutputs) -> Iterator[_Way]:
    """Yields attributions by gradients of a few models, which are trained for them."""
    import_tensorflow_for("attributions by gradients")
    from tfmem.experiments.gradient_attribution import growing_scores, train_members
    from tfmem.influence_functions.methods import METHODS

    counts = sorted(set(given.settings.models))
    own = given.config.gradient_attribution.model_copy(update={"models": counts[-1]})
    config = given.config.model_copy(update={"gradient_attribution": own})
    for name, method in METHODS.items():
        models = given.folder / ("checkpoints" if method.checkpoints else "models")
        train_members(config, given.dataset, models, method.checkpoints)
        out = given.folder / name
        numbers = [1] if method.checkpoints else counts
        for grown in growing_scores(name, config, given.dataset, models, out, numbers):
            cost = grown.cost
            made = cost.passes, cost.cpu_seconds, cost.memory
            yield _Way(name, cost.models, summed(_Scores(grown.path), judges), *made)


class _Scores:
    """Attributions in a file (a `ScoreMatrix`)."""

    def __init__(self, path: Path) -> None:
        self.source = str(path)
        self._values = map_npy(path, "f")

    def columns(self, tests: slice) -> np.ndarray:
        """See `ScoreMatrix.columns`."""
        return self._values[:, tests]


def _by_trials(
    given: Given[QualitySettings],
    margins: SubsetOutputs,
    correct: SubsetOutputs,
    judges: SubsetOutputs,
) -> Iterator[_Way]:
    """Yields attributions that compare trials of the run."""
    most = len(margins)
    kinds: dict[str, Callable[[np.ndarray], Predict]] = {
        "influence_of_correctness": lambda part: influence_predictions(correct.take(part), judges),
        "influence": lambda part: influence_predictions(margins.take(part), judges),
        "ridge": lambda part: ridge(margins.take(part)).predictions(judges),
    }
    if given.settings.sparse:
        kinds["lasso"] = lambda part: lasso(margins.take(part)).predictions(judges)
    for subsets in sorted({min(number, most) for number in given.settings.trials}):
        if subsets < _LEAST:
            continue
        part = np.arange(subsets)
        for kind, make in kinds.items():
            with measured() as took:
                predict = make(part)
            models = len(margins.take(part).each)
            yield _Way(kind, models, predict, 0, took.cpu_seconds, took.memory)


def _row(way: _Way, score: LinearDatamodelingScore) -> dict[str, Any]:
    return {
        "attributions": way.kind,
        "models": way.models,
        "lds": score.value,
        "ci_low": score.low,
        "ci_high": score.high,
        "subset_stderr": score.subset_error,
        "ceiling": score.ceiling_value,
        "passes": way.passes,
        "cpu_seconds": way.cpu_seconds,
        "memory": way.memory,
    }


NAMES = {
    "influence-functions": ("influence functions", PURPLE, "D-"),
    "trak": ("TRAK", ORANGE, "P-"),
    "tracin": ("TracIn", GREY, "X"),
    "influence_of_correctness": ("influence of correctness", SKY, "^-"),
    "influence": ("influence of margins", BLUE, "s-"),
    "ridge": ("datamodels (ridge)", VERMILION, "o-"),
    "lasso": ("datamodels (lasso)", GREEN, "v-"),
}


def quality_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the score of attributions over the number of models trained for them.

    Args:
      table: the table of `attribution_quality`.
    """
    figure = new_figure(7.5, 4.2)
    axes = plain(figure.subplots())
    for kind, (name, color, line) in NAMES.items():
        rows = table[table["attributions"] == kind].sort_values("models")
        if not len(rows):
            continue
        spread = [rows["lds"] - rows["ci_low"], rows["ci_high"] - rows["lds"]]
        axes.errorbar(
            rows["models"], rows["lds"], spread, fmt=line, color=color, label=name, markersize=4,
            linewidth=1.2, elinewidth=0.8,
        )  # fmt: skip
    ceiling = table["ceiling"].iloc[0]
    if np.isfinite(ceiling):
        axes.axhline(ceiling, color=GREY, linewidth=0.8, linestyle=":", label="ceiling of noise")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("models trained for the attributions")
    axes.set_ylabel("linear datamodeling score (95% interval)")
    figure.legend(frameon=False, fontsize=8, loc="outside right center")
    return figure


EXPERIMENT = Experiment(
    name="attribution-quality",
    question="How good do attributions become as more models are trained for them?",
    source="the linear datamodeling score of Park et al. (2023), Sec. 2.2",
    trains="`subsets` x `repeats` models, which judge",
    reading=(
        "The higher a curve, the better its attributions predict models that were trained on "
        "other subsets; nothing can score above the dotted line, which is how well models of one "
        "subset predict one another. Where a curve is still rising, more trials would help."
    ),
    settings=QualitySettings,
    needs=(Predictions,),
    sections=(
        "seed",
        "dataset",
        "model",
        "task",
        "training",
        "self_influence",
        "gradient_attribution",
    ),
    conduct=attribution_quality,
    draw=quality_figure,
    checks=(test_examples, right_or_wrong, in_memory),
    results="data-attribution.md#what-was-measured",
    gradients=True,
)
