"""How near do scores from one or a few trainings come to memorization?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter
from pydantic import Field

from tfmem.aggregation.holding import held_measure
from tfmem.config import Config
from tfmem.config.base import Positive, Settings
from tfmem.datasets import has_classes
from tfmem.estimation.estimator import Measure
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.checks import in_memory, of_classes, stacked
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Asked, Experiment, Given
from tfmem.experiments.gradients import (
    EARLY_NORM,
    NORM,
    SELF_INFLUENCE,
    GradientProbe,
)
from tfmem.experiments.input_proxies import (
    CURVATURE,
    GRADIENT,
    RETRAINING,
    InputProbe,
    Together,
    mean_over_epochs,
)
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.proxy_costs import cost_said, has, prices_of, with_passes
from tfmem.experiments.ranking import areas
from tfmem.experiments.score_proxies import (
    AFTER,
    LEFT_OUT,
    Scored,
    memorized_or_top,
    scored_proxies,
)
from tfmem.experiments.summed import Summed, records_between, sum_trials
from tfmem.figures.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    WIDE,
    new_figure,
    plain,
)
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions
from tfmem.training.dynamics import Dynamics, follow


class ProxySettings(Settings):
    """How many models the cheaper scores take that are compared with memorization.

    Attributes:
      trainings: numbers of models trained on all examples over which a score is averaged.
      trials: numbers of trials, the first of the run, from which a score that needs subsets is
        made; the other trials give the truth. Where several were trained on each subset, numbers
        are rounded up to whole subsets. Numbers above half of the run's trials are left out.
      early: share of the epochs after which EL2N is read (Paul et al. 2021 read it at 20 of 200).
    """

    trainings: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (1, 2, 5, 10)
    trials: Annotated[
        tuple[Annotated[int, Field(ge=2)], ...], Field(strict=False, min_length=1)
    ] = (2, 5, 10, 20, 50, 100, 200, 500)
    early: Annotated[float, Field(gt=0, le=1)] = 0.1


def enough_trials(asked: Asked[ProxySettings]) -> None:
    """Refuses a run with too few trials for both a score and the truth."""
    _numbers_of_trials(asked.settings, asked.config)


def _numbers_of_trials(settings: ProxySettings, config: Config) -> list[int]:
    """The numbers in `experiments.proxies.trials` that leave at least as many for the truth."""
    models = config.training.repeats
    whole = dict.fromkeys(-(-number // models) * models for number in settings.trials)
    numbers = [number for number in whole if 2 * number <= config.training.trials]
    if not numbers:
        raise InputError(
            "experiments.proxies.trials: expected some of at most half of the "
            f"{config.training.trials} trials of the run, as the others are the truth; received "
            f"{', '.join(map(str, settings.trials))}"
        )
    return numbers


def proxies(given: Given[ProxySettings]) -> Outcome:
    """Compares scores with memorization that is estimated from trials which no score has seen.

    Models trained on all examples give these scores: confidence (one minus the probability of the
    label after training); learning speed (its mean over epochs); forgetting events (Toneva et al.
    2019, Def. 1: how often an example is predicted correctly after one epoch but not after the
    next; an example that is never predicted correctly counts as forgotten in every epoch); EL2N and
    GraNd (Paul et al. 2021, Def. 2.2 and 2.1: the norm of the difference between probabilities and
    label, and of the gradient of the loss, early in training); the gradient norm after training;
    self-influence (`tfmem.influence_functions`, solver `fast`); cumulative sample loss (Ravikumar
    et al. 2025: the mean loss over epochs); and, by `InputProbe`, the cumulative gradient by the
    input, the curvature of the loss around the input, both over epochs, and held-out retraining.

    Trials give these: the consistency score (Jiang et al. 2021: accuracy when left out, here one
    minus it), the consistency score of probabilities, and the estimator itself. An example that was
    in all of a few trials has no such score, and gets the mean.

    Where there are no classes, or memorization is that of a score, there are three scores: minus
    the statistic after training (such as a squared error), minus its mean when left out, and
    memorization.

    Args:
      given: the run's predictions, of which a few give scores and the others the truth.

    Returns:
      One row for each score and each number of models that it is averaged over, `trainings`:
      Spearman's correlation with memorization, and the area under the ROC curve for finding
      examples with at least `selection.memorization`, or, if a score has no threshold, the tenth
      with the highest memorization, both with 95% intervals; and the `cost` in trainings. A model
      costs the share of its epochs that the score needs, and a pass over gradients its time,
      relative to training one model in its stack. `seconds` is the cost in processor time;
      `forward` and `backward` are passes over all training examples, NaN for self-influence, which
      takes factors of the curvature. Scores without classes have no such columns.

    Raises:
      InputError: if the run has too few trials, or too few examples are memorized.
    """
    settings, config, dataset = given.settings, given.config, given.dataset
    labels, numbers = dataset.train_labels, _numbers_of_trials(settings, config)
    measure = held_measure(given.run.predictions, config.estimation.statistic)
    if measure.statistic != "correctness" or not has_classes(dataset):
        return _by_score(given, measure, numbers)

    def sums(first: int, end: int | None) -> Summed:
        return sum_trials(records_between(given.run.predictions, first, end), labels)

    truth = sums(max(numbers), None)
    known = ~np.isnan(truth.memorization)
    memorized = at_least(truth.memorization[known], config.selection.least_memorization)
    if not 2 <= memorized.sum() <= len(memorized) - 2:
        raise InputError(
            f"selection.memorization: {memorized.sum()} of {len(memorized)} examples reach "
            f"{config.selection.least_memorization}, which leaves nothing to tell apart"
        )
    masks = [np.ones(len(labels), bool)] * max(settings.trainings)
    epochs = config.training.epochs
    early = max(1, round(settings.early * epochs))
    probe = Together(GradientProbe(config, dataset, early - 1), InputProbe(config, dataset))
    models = follow(config, dataset, masks, given.folder, probe)
    prices = prices_of(models, early / epochs)
    scores = [
        *(
            (name, number, number * prices.get(name, 1.0), score)
            for number in settings.trainings
            for name, score in _of_models(models, number, early).items()
        ),
        *(
            (name, number, float(number), score)
            for number in numbers
            for name, score in _of_trials(sums(0, number)).items()
        ),
    ]
    table = _table(scores, truth.memorization, known, memorized)
    held_out = len(dataset.test_labels) / len(labels)
    table = with_passes(table, models, config, early, held_out)
    said = _findings(config, table, truth, int(memorized.sum()))
    return Outcome((*said, cost_said(models)), table)


def _by_score(given: Given[ProxySettings], measure: Measure, numbers: list[int]) -> Outcome:
    """The outcome of `proxies` where memorization is that of a score, or there are no classes."""
    scores, truth = scored_proxies(given, measure, given.settings.trainings, numbers)
    chosen, said = memorized_or_top(truth.counts, given.config.selection)
    known = ~np.isnan(truth.memorization)
    if not 2 <= chosen[known].sum() <= known.sum() - 2:
        raise InputError(
            f"selection.memorization: {chosen.sum()} of {known.sum()} examples have {said}, which "
            "leaves nothing to tell apart"
        )
    table = _table(scores, truth.memorization, known, chosen[known])
    first = (
        f"The truth is memorization from {truth.counts.num_trials:,} trials that no score has "
        f"seen; {chosen.sum():,} of {known.sum():,} examples have {said}."
    )
    return Outcome((first, *_of_scores(table)), table)


def _table(
    scores: Sequence[Scored], truth: np.ndarray, known: np.ndarray, memorized: np.ndarray
) -> pd.DataFrame:
    """The table of `proxies`.

    Args:
      scores: what is compared with memorization.
      truth: float64 `[num_train]`, memorization.
      known: bool `[num_train]`, where it is not NaN.
      memorized: bool `[known]`, which of these count as memorized.
    """
    values = [_filled(score)[known] for *_, score in scores]
    found = areas(values, memorized)
    rows = []
    for place, (name, number, cost, _) in enumerate(scores):
        ranks = rank_correlation(values[place], truth[known])
        area = (float(found.area[place]), *found.interval(place))
        rows.append((name, number, cost, ranks.value, ranks.low, ranks.high, *area))
    names = ["score", "trainings", "cost", "spearman", "spearman_low", "spearman_high"]
    return pd.DataFrame(rows, columns=[*names, "auc", "auc_low", "auc_high"])


def _of_models(models: Dynamics, number: int, early: int) -> dict[str, np.ndarray]:
    """Scores from the first `number` models, high for hard examples; `early` is EL2N's epoch."""
    confidence, correct = models.confidence[:number], models.correct[:number]
    epochs = confidence.shape[1]
    forgotten = (correct[:, :-1] & ~correct[:, 1:]).sum(axis=1)
    events = np.where(correct.any(axis=1), forgotten, epochs)
    scores = {
        "learning speed": 1 - confidence.mean(axis=(0, 1)),
        "confidence": 1 - confidence[:, -1].mean(axis=0),
        "forgetting events": events.mean(axis=0),
        "EL2N": models.error[:number, early - 1].mean(axis=0),
        "GraNd": models.probed[EARLY_NORM][:number].mean(axis=0),
        "gradient norm": models.probed[NORM][:number].mean(axis=0),
    }
    if has(models, SELF_INFLUENCE):
        scores["self-influence"] = models.probed[SELF_INFLUENCE][:number].mean(axis=0)
    losses = -np.log(np.maximum(confidence, _LEAST))
    scores["cumulative loss"] = losses.mean(axis=(0, 1))
    for name, key in (("input gradient", GRADIENT), ("input curvature", CURVATURE)):
        values = mean_over_epochs(models.probed, key)[:number].mean(axis=0)
        if not np.isnan(values).all():
            scores[name] = values
    if has(models, RETRAINING):
        scores["held-out retraining"] = models.probed[RETRAINING][:number].mean(axis=0)
    return scores


def _of_trials(trials: Summed) -> dict[str, np.ndarray]:
    """Scores from trials, high for hard examples."""
    scores = {"memorization": trials.memorization, "consistency": 1 - trials.held_out_accuracy}
    if trials.confidence_memorization is not None and trials.held_out_confidence is not None:
        scores["memorization of probability"] = trials.confidence_memorization
        scores["consistency of probability"] = 1 - trials.held_out_confidence
    return scores


def _filled(score: np.ndarray) -> np.ndarray:
    known = score[~np.isnan(score)]
    return np.where(np.isnan(score), known.mean() if len(known) else 0.0, score)


def _findings(
    config: Config, table: pd.DataFrame, truth: Summed, memorized: int
) -> tuple[str, ...]:
    zero = float((truth.memorization == 0).mean())
    said = [
        f"The truth is memorization from {truth.counts.num_trials:,} trials that no score has "
        f"seen; {zero:.0%} of the examples have exactly 0, and {memorized:,} have at least "
        f"{config.selection.least_memorization:g}.",
        *_of_scores(table),
    ]
    return tuple(said)


def _of_scores(table: pd.DataFrame) -> list[str]:
    """A sentence on each score."""
    said = []
    for name, rows in table.groupby("score", sort=False):
        ends = rows.sort_values("trainings").iloc[[0, -1]].to_dict("records")
        parts = [
            f"from {row['trainings']:,} models (cost {row['cost']:,.3g}), Spearman's correlation "
            f"is {row['spearman']:.2f} ({row['spearman_low']:.2f} to {row['spearman_high']:.2f}) "
            f"and the area under the ROC curve {row['auc']:.3f} ({row['auc_low']:.3f} to "
            f"{row['auc_high']:.3f})"
            for row in ends
        ]
        said.append(f"{str(name)[0].upper()}{str(name)[1:]}: {'; '.join(parts)}.")
    return said


_LEAST = np.finfo(np.float32).tiny  # probability, below which losses are not told apart
_WINE = "#882255"  # Tol's color for a ninth curve
_STYLES = {  # hollow marks stand for scores of probabilities
    "memorization": (VERMILION, "o-"),
    "memorization of probability": (VERMILION, "o--"),
    "consistency": (BLUE, "s-"),
    "consistency of probability": (BLUE, "s--"),
    "learning speed": (GREEN, "^-."),
    "confidence": (GREY, "v:"),
    AFTER: (GREY, "v:"),
    LEFT_OUT: (BLUE, "s-"),
    "forgetting events": (PURPLE, "D-."),
    "EL2N": (SKY, "X-"),
    "GraNd": (ORANGE, "X:"),
    "gradient norm": ("black", "P:"),
    "self-influence": (_WINE, "*-."),
    "cumulative loss": (GREEN, "o:"),
    "input gradient": (PURPLE, "^--"),
    "input curvature": (ORANGE, "v--"),
    "held-out retraining": (SKY, "D--"),
}


def proxies_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws each score's correlation with memorization, and how well it finds memorized examples.

    Args:
      table: the table of `proxies`.
    """
    figure = new_figure(WIDE, 5.6)
    panels = figure.subplots(1, 2, sharex=True)
    for axes, column, label in zip(
        panels,
        ("spearman", "auc"),
        ("Spearman's correlation with memorization", "area under the ROC curve"),
        strict=True,
    ):
        plain(axes).set_ylabel(f"{label} (95%)")
        axes.set_xlabel("cost, in trainings of a model (log scale)")
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        for name, (color, line) in _STYLES.items():
            rows = table[table["score"] == name].sort_values("cost")
            if rows.empty:
                continue
            inside = "white" if name.endswith("of probability") else color
            axes.plot(rows["cost"], rows[column], line, c=color, ms=5, mfc=inside, label=name)
            axes.fill_between(
                rows["cost"],
                rows[f"{column}_low"],
                rows[f"{column}_high"],
                color=color,
                alpha=0.12,
                linewidth=0,
            )
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        frameon=False,
        loc="outside lower center",
        ncols=4,
        columnspacing=1.2,
        fontsize=9,
    )
    return figure


EXPERIMENT = Experiment(
    name="proxies",
    question="How near do cheaper scores come to memorization?",
    source="Toneva et al. (2019); Carlini et al. (2019); Jiang et al. (2021); Paul et al. (2021); "
    "Garg et al. (2024); Ravikumar et al. (2024, 2025, 2026)",
    trains="`trainings` models on all examples",
    reading=(
        "A score that is high and far to the left is a cheap guide to memorization. Left: whether "
        "it orders all examples as memorization does; where most have none, even the estimator "
        "itself is low there. Right: how well it finds examples with memorization above the "
        "threshold."
    ),
    settings=ProxySettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "estimation", "selection"),
    conduct=proxies,
    draw=proxies_figure,
    checks=(enough_trials, of_classes(stacked), in_memory),
    results="findings.md#proxies",
    gradients=True,
)
