"""Scores from one or a few trainings beside memorization by a score, such as a squared error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfmem.aggregation.holding import hold
from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import Measure, TrainCounts, memorization
from tfmem.experiments.declaration import Given
from tfmem.experiments.summed import Means, means_of
from tfmem.experiments.training import train_on
from tfmem.selection.memorized import described, memorized

AFTER, LEFT_OUT = "score after training", "score when left out"
MEMORIZATION = "memorization"
_TOP = 0.1  # share of the examples that count as memorized where no threshold says it

Scored = tuple[str, int, float, np.ndarray]  # name, trainings, cost and score, high for hard ones


def scored_proxies(
    given: Given[Any], measure: Measure, trainings: Sequence[int], trials: Sequence[int]
) -> tuple[list[Scored], Means]:
    """Makes the scores that need no classes, and the truth from trials that none of them has seen.

    Models trained on all examples give one score: minus the value of the statistic after training,
    such as a squared error. Trials give two: minus the mean when left out, and the estimator.

    Args:
      given: the run's predictions, and the settings.
      measure: the statistic of the run.
      trainings: numbers of models trained on all examples.
      trials: numbers of trials from which a score is made, those of whole subsets.
    """
    labels = given.run.labels
    held = hold(given.run.predictions, measure.statistic)
    every = np.ones(len(labels.train_labels), bool)
    masks = [every] * max(2, *trainings)
    after = train_on(given.config, given.dataset, masks, given.folder, measure).train
    found: list[Scored] = [
        (AFTER, number, float(number), -after[:number].mean(axis=0)) for number in trainings
    ]
    for number in trials:
        means = means_of(held.part(slice(number // measure.models)), labels)
        found += [
            (MEMORIZATION, number, float(number), means.memorization),
            (LEFT_OUT, number, float(number), -means.mean_out),
        ]
    return found, means_of(held.part(slice(max(trials) // measure.models, None)), labels)


def memorized_or_top(counts: TrainCounts, selection: SelectionSettings) -> tuple[np.ndarray, str]:
    """Which examples count as memorized, bool `[train]`, and what they have in words.

    Without a threshold these are the tenth with the highest memorization.
    """
    rule = selection.resolved(counts.measure.statistic)
    if rule.memorization is not None:
        return memorized(counts, rule), described(rule, counts.measure.statistic)
    value = memorization(counts).value
    known = np.flatnonzero(~np.isnan(value))
    top = np.zeros(len(value), bool)
    top[known[np.argsort(-value[known], kind="stable")[: round(_TOP * len(known))]]] = True
    return top, f"a memorization among the highest {_TOP:.0%}"
