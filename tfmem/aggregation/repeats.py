"""Several models of each subset as one trial: their mean values, of which estimates are made."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np

from tfmem.aggregation.identities import Checked, planned_trials
from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.reading import matching_files
from tfmem.aggregation.values import OneTrial, SubsetMeans, confidence, values_of
from tfmem.estimation.estimator import Measure
from tfmem.store.predictions import Split, TrialRecord

_Record = tuple[TrialRecord, str]


def models_of(predictions: str | Sequence[str], labels: str) -> int:
    """How many models were trained on each subset, as far as settings beside the labels say."""
    planned = planned_trials(labels, matching_files(predictions, "prediction shards"))
    return planned.repeats if planned else 1


def mean_of(records: Iterable[_Record], measure: Measure) -> tuple[SubsetMeans, str]:
    """The mean of the trials of one subset, whatever their order; one that comes again counts once.

    Args:
      records: of at least one trial that did not diverge.
      measure: what means are taken of.
    """
    by_trial = {record.trial_id: (record, source) for record, source in records}
    ordered = [by_trial[trial] for trial in sorted(by_trial)]
    first, source = ordered[0]
    train, test = (
        np.stack([_values(*each, split, measure) for each in ordered]).mean(0, np.float64)
        for split in ("train", "test")
    )
    return SubsetMeans(first.trial_id // measure.models, first.subset_mask, train, test), source


def _values(record: TrialRecord, source: str, split: Split, measure: Measure) -> np.ndarray:
    if measure.statistic == "probability":
        return confidence(record, source, split, "probability").probabilities()[0]
    return values_of(record, source, split, measure)


def each_subset(
    predictions: str | Sequence[str], labels: str, measure: Measure
) -> Generator[tuple[OneTrial, str], None, Checked]:
    """Yields each trial once, or the mean of the trials of each subset where there are several.

    The models of one subset are in memory until the last of them has come.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      measure: what means are taken of.

    Returns:
      What the records have in common (see `each_trial`).

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    if measure.models == 1:
        return (yield from each_trial(predictions, labels))
    subsets = trials_of_subsets(predictions, labels, measure.models)
    while True:
        try:
            yield mean_of(next(subsets), measure)
        except StopIteration as end:
            checked: Checked = end.value
            return checked


def trials_of_subsets(
    predictions: str | Sequence[str], labels: str, models: int
) -> Generator[list[_Record], None, Checked]:
    """Yields the trials of each subset that did not diverge, together; otherwise as `each_trial`.

    Args:
      predictions: as for `each_trial`.
      labels: as there.
      models: number of models that were trained on each subset.

    Returns:
      What the records have in common.
    """
    waiting: dict[int, list[_Record]] = {}
    trials = each_trial(predictions, labels)
    while True:
        try:
            record, source = next(trials)
        except StopIteration as end:
            checked: Checked = end.value
            break
        together = waiting.setdefault(record.trial_id // models, [])
        together.append((record, source))
        if len(together) == models:
            yield waiting.pop(record.trial_id // models)
    yield from waiting.values()  # of which some trials diverged
    return checked


@beam.ptransform_fn
def MeansOfSubsets(records: beam.PCollection[_Record], measure: Measure) -> beam.PCollection[Any]:
    """Makes one trial of the models of each subset.

    Returns:
      `OneTrial`s with their places; where there is one model of each subset, the records.
    """
    if measure.models == 1:
        return records
    return (
        records
        | "BySubset" >> beam.Map(_with_subset, measure)
        | "GatherSubset" >> beam.GroupByKey()
        | "MeanOfSubset" >> beam.Map(_mean, measure)
    )


def _with_subset(element: _Record, measure: Measure) -> tuple[int, _Record]:
    record, source = element
    if measure.statistic == "correctness":
        record.check_correctness(source)
        record = record.only_bits()
    return record.trial_id // measure.models, (record, source)


def _mean(element: tuple[int, Iterable[_Record]], measure: Measure) -> tuple[SubsetMeans, str]:
    return mean_of(element[1], measure)
