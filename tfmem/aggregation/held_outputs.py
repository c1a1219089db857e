"""Holds subsets, and the outputs of models on test examples, of all trials of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.reading import load_labels
from tfmem.aggregation.values import SCALED, confidence, first_record, values_of
from tfmem.config import Statistic
from tfmem.datamodels.outputs import SubsetOutputs, by_subset
from tfmem.estimation.estimator import Measure
from tfmem.messages.errors import InputError
from tfmem.store.labels import LABELS_NAME
from tfmem.store.predictions import TrialRecord
from tfmem.store.shards import shards_in


@dataclass(frozen=True)
class HeldOutputs:
    """The trials of a run that did not diverge.

    Attributes:
      trial_ids: int64 `[trials]`, ascending.
      masks: uint8 `[trials, bytes]`, subsets, packed as in records.
      test: float32 or float64 `[trials, num_test]`, the values of the statistic.
      num_train: number of training examples.
      seed: seed of the run.
      measure: what the values are.
    """

    trial_ids: np.ndarray
    masks: np.ndarray
    test: np.ndarray
    num_train: int
    seed: int
    measure: Measure

    def by_subset(self) -> SubsetOutputs:
        """Groups the trials by their subsets."""
        return by_subset(self.masks, self.test, self.num_train)


def outputs_in(folder: Path, statistic: Statistic | None = None) -> HeldOutputs:
    """Reads subsets, and outputs on test examples, of the trials of a run.

    Args:
      folder: the run's folder of predictions.
      statistic: the outputs; None is the score if records hold one, and the margin otherwise.

    Raises:
      InputError: if there are no predictions or no test examples, if records do not hold these
        outputs, or naming the file and record that cannot be used.
    """
    shards, labels = shards_in(folder), str(folder / LABELS_NAME)
    if not shards:
        raise InputError(f"{folder}: expected prediction shards, found none")
    record, source = first_record(shards)
    if record is not None and not record.num_test:
        raise InputError(f"{source}: expected outputs on test examples, there are none")
    measure = Measure(statistic or "margin")
    if record is not None and statistic in (None, "score") and record.has_scores:
        measure = Measure("score", record.score_name)
    elif record is not None and statistic is None:
        _check_margins(record, source)
    return hold_outputs(shards, labels, measure)


def _check_margins(record: TrialRecord, source: str) -> None:
    found = record.confidence("test", source)
    if found is not None and found.are_margins.all():
        return
    others = ["probability"] if found is not None else []
    others += ["correctness"] if record.has_correctness else []
    raise InputError(
        f"{source}: trial {record.trial_id}: expected the margins of test examples "
        "('test_margin'), received none: they are written where training.probabilities is true, or "
        "where a PredictionWriter is given logits; trials without them can be judged by "
        + " or ".join(f"--statistic {each}" for each in others)
    )


def hold_outputs(predictions: str | Sequence[str], labels: str, measure: Measure) -> HeldOutputs:
    """Reads the outputs of each trial that did not diverge once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      measure: the values to hold.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    rows, seed = {}, 0
    for record, source in each_trial(predictions, labels):
        mask = np.frombuffer(record.subset_mask, np.uint8)
        rows[record.trial_id] = mask, _outputs(record, source, measure)
        seed = record.seed
    ids = sorted(rows)
    masks, test = map(np.stack, zip(*(rows[trial] for trial in ids), strict=True))
    num_train = len(load_labels(labels).train_labels)
    return HeldOutputs(np.array(ids, np.int64), masks, test, num_train, seed, measure)


def _outputs(record: TrialRecord, source: str, measure: Measure) -> np.ndarray:
    """The values of one trial's model on the test examples; float32 where that is exact."""
    if measure.statistic in SCALED:
        found = values_of(record, source, "test", measure)
        return found if measure.statistic == "loss" else found.astype(np.float32)
    if measure.statistic == "correctness":
        return record.correctness("test", source).astype(np.float32)
    return confidence(record, source, "test", "probability").probabilities()[0]
