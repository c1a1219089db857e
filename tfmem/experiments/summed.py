"""Sums of the predictions of trials for their training examples, computed in this process."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from tfmem.aggregation.held import HeldTrials
from tfmem.aggregation.held_scores import HeldScores
from tfmem.aggregation.holding import hold, train_counts
from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.reading import load_labels
from tfmem.aggregation.repeats import models_of, trials_of_subsets
from tfmem.config import Config, Statistic
from tfmem.datasets import AnyDataset
from tfmem.estimation.estimator import TrainCounts, mean, memorization
from tfmem.estimation.units import Units, units_of
from tfmem.experiments.training import train_alone, workplace
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.shards import shards_in


@dataclass(frozen=True)
class Summed:
    """Sums over trials, from which scores of training examples follow.

    Attributes:
      counts: counts of correct predictions.
      confidence: sums of the probability of the label, float64 `[num_train]`; None if a record has
        no probabilities.
      confidence_in: sums over the trials with the example in the subset.
      test_accuracy: float64 `[trials]`.
    """

    counts: TrainCounts
    confidence: np.ndarray | None
    confidence_in: np.ndarray | None
    test_accuracy: np.ndarray

    @property
    def memorization(self) -> np.ndarray:
        """Memorization by correctness; NaN if an example was in all trials, or in none."""
        return memorization(self.counts).value

    @property
    def accuracy_in(self) -> np.ndarray:
        """Share of right models among those trained on the example; NaN if there are none."""
        return self._mean(self.counts.correct_in, self.counts.num_in)

    @property
    def held_out_accuracy(self) -> np.ndarray:
        """Share of right models among those that left the example out; NaN if there are none."""
        return self._mean(self.counts.correct - self.counts.correct_in, self.counts.num_out)

    @property
    def confidence_memorization(self) -> np.ndarray | None:
        """Memorization with the probability of the label in place of correctness."""
        if self.confidence is None or self.confidence_in is None:
            return None
        with_it = self._mean(self.confidence_in, self.counts.num_in)
        return with_it - self._mean(self.confidence - self.confidence_in, self.counts.num_out)

    @property
    def held_out_confidence(self) -> np.ndarray | None:
        """Mean probability of the label when the example is left out."""
        if self.confidence is None or self.confidence_in is None:
            return None
        return self._mean(self.confidence - self.confidence_in, self.counts.num_out)

    @staticmethod
    def _mean(total: np.ndarray, number: np.ndarray) -> np.ndarray:
        return np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)


@dataclass(frozen=True)
class Means:
    """Means over trials of what they are compared by: correctness, or a score.

    Attributes:
      counts: sums over trials of all training examples.
      test: float64 `[trials]`, the mean over test examples.
    """

    counts: TrainCounts
    test: np.ndarray

    @property
    def memorization(self) -> np.ndarray:
        """The difference of both means; NaN if an example was in all trials, or in none."""
        return memorization(self.counts).value

    @property
    def mean_in(self) -> np.ndarray:
        """The mean over trials with the example in the subset; NaN if there are none."""
        counts = self.counts
        return mean(counts.correct_in, counts.num_in, counts.scale)

    @property
    def mean_out(self) -> np.ndarray:
        """The mean over trials without the example; NaN if there are none."""
        counts = self.counts
        return mean(counts.correct - counts.correct_in, counts.num_out, counts.scale)

    @property
    def units(self) -> Units:
        """What the means are of."""
        return units_of(self.counts.measure)


def means_of(held: HeldTrials | HeldScores, labels: Labels) -> Means:
    """The means of held trials."""
    return Means(train_counts(held, labels), held.means(len(labels.test_labels)))


def means_on(
    config: Config, dataset: AnyDataset, out: Path, statistic: Statistic | None = None
) -> Means:
    """Runs the trials of `config` that are still missing, and returns the means of all.

    Args:
      config: the settings of the trials.
      dataset: the examples.
      out: receives the folder of the trials; see `workplace`.
      statistic: see `tfmem.aggregation.holding.hold`.

    Raises:
      InputError: if every trial diverges.
    """
    folder = workplace(out, config, dataset)
    train_alone(config, dataset, folder)
    predictions = folder / "predictions"
    return means_of(hold(predictions, statistic), load_labels(str(predictions / LABELS_NAME)))


def trials_on(config: Config, dataset: AnyDataset, out: Path) -> Summed:
    """Runs the trials of `config` that are still missing, and sums all of them.

    Args:
      config: the settings of the trials.
      dataset: the examples.
      out: receives the folder of the trials; see `workplace`.

    Raises:
      InputError: if every trial diverges.
    """
    folder = workplace(out, config, dataset)
    train_alone(config, dataset, folder)
    return sum_trials(records_in(folder / "predictions"), dataset.train_labels)


def records_in(predictions: Path) -> Iterator[TrialRecord]:
    """Yields the trials of a folder that did not diverge, each once.

    Raises:
      InputError: naming the record that does not say which predictions are right.
    """
    for record, source in each_trial(shards_in(predictions), str(predictions / LABELS_NAME)):
        record.check_correctness(source)
        yield record


def records_between(predictions: Path, first: int, end: int | None) -> Iterator[TrialRecord]:
    """Yields the trials of some subsets, those that did not diverge, each once.

    Args:
      predictions: folder of the run's predictions.
      first: number of trials before them; the models of a subset stay together.
      end: number of trials up to the last of them; None is all.

    Raises:
      InputError: as `records_in` does.
    """
    shards, labels = shards_in(predictions), str(predictions / LABELS_NAME)
    models = models_of(shards, labels)
    subsets = trials_of_subsets(shards, labels, models)
    for together in islice(subsets, first // models, None if end is None else end // models):
        for record, source in together:
            record.check_correctness(source)
            yield record


def sum_trials(records: Iterable[TrialRecord], labels: np.ndarray) -> Summed:
    """Sums records of trials.

    Args:
      records: records of trials that did not diverge, each once
        (`aggregation.one_by_one.each_trial`).
      labels: int64 `[num_train]`.

    Raises:
      InputError: if there is no record.
    """
    size = len(labels)
    num_in, correct, correct_in = (np.zeros(size, np.int64) for _ in range(3))
    confidence, confidence_in = np.zeros(size), np.zeros(size)
    complete, accuracy = True, []
    for record in records:
        mask = unpack(record.subset_mask, size)
        right = unpack(record.train_correct, size)
        num_in += mask
        correct += right
        correct_in += mask & right
        sure = record.confidence("train", f"trial {record.trial_id}")
        complete &= sure is not None
        if sure is not None:
            (probability,) = sure.probabilities()
            confidence += probability
            confidence_in += np.where(mask, probability, 0)
        accuracy.append(unpack(record.test_correct, record.num_test).mean())
    if not accuracy:
        raise InputError("expected predictions of at least one trial, received none")
    counts = TrainCounts(len(accuracy), np.arange(size), labels, num_in, correct, correct_in)
    if not complete:
        return Summed(counts, None, None, np.array(accuracy))
    return Summed(counts, confidence, confidence_in, np.array(accuracy))
