"""Holds the trials of a run in memory, as bits or as scores, and sums its training examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.aggregation.bits import Group
from tfmem.aggregation.held import HeldTrials, hold_trials
from tfmem.aggregation.held_scores import HeldScores, hold_scores
from tfmem.aggregation.repeats import models_of
from tfmem.aggregation.values import measure_of
from tfmem.config import Statistic
from tfmem.estimation.estimator import Measure, TrainCounts
from tfmem.messages.errors import InputError
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.shards import shards_in


def held_measure(predictions: Path, statistic: Statistic | None = None) -> Measure:
    """What the trials in a folder are compared by.

    Args:
      predictions: the folder of prediction shards.
      statistic: the setting `estimation.statistic`; of a probability, it is whether models are
        right that is held.

    Raises:
      InputError: if there are no predictions, or they lack what the statistic needs.
    """
    shards = [str(path) for path in shards_in(predictions)]
    if not shards:
        raise InputError(f"{predictions}: no prediction shards")
    measure = measure_of(shards, "correctness" if statistic == "probability" else statistic)
    return measure._replace(models=models_of(shards, str(predictions / LABELS_NAME)))


def hold(predictions: Path, statistic: Statistic | None = None) -> HeldTrials | HeldScores:
    """Reads each trial that did not diverge once; arguments as for `held_measure`.

    The models of one subset are held as one trial, which is their mean.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    measure, path = held_measure(predictions, statistic), str(predictions / LABELS_NAME)
    shards = [str(path) for path in shards_in(predictions)]
    if measure.counted:
        return hold_trials(shards, path)
    return hold_scores(shards, path, measure)


def train_counts(held: HeldTrials | HeldScores, labels: Labels) -> TrainCounts:
    """The sums over trials of all training examples; their labels are not in it, and 0."""
    every = np.arange(len(labels.train_labels))
    return held.counter(labels)(0, Group(every, np.zeros(0, np.int64))).train
