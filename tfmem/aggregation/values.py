"""The numbers in records of which a statistic takes means, and the scales that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from tfmem.config import Statistic
from tfmem.config.estimates import BOUNDED
from tfmem.estimation.estimator import Measure
from tfmem.estimation.scales import Range, joined, range_of, scale_of
from tfmem.estimation.sums import Scales
from tfmem.messages.errors import InputError
from tfmem.store.confidence import Confidence
from tfmem.store.predictions import Split, TrialRecord
from tfmem.store.records import read_records
from tfmem.store.scores import check_finite

SCALED = "margin", "loss", "score"  # statistics whose values may be any
_BITS = {"correctness": 1, "probability": 16, "margin": 32, "loss": 32, "score": 32}


class SubsetMeans(NamedTuple):
    """The mean values of the models that were trained on one subset, which count as one trial.

    Attributes:
      trial_id: number of the subset.
      subset_mask: the subset, packed as in records.
      train: float64 `[num_train]`.
      test: float64 `[num_test]`.
    """

    trial_id: int
    subset_mask: bytes
    train: np.ndarray
    test: np.ndarray


OneTrial = TrialRecord | SubsetMeans


def bits_of(measure: Measure) -> int:
    """How many bits a number takes while it is gathered."""
    return _BITS[measure.statistic] if measure.models == 1 else 32


def measure_of(shards: Sequence[str], statistic: Statistic | None) -> Measure:
    """What means are taken of.

    Args:
      shards: paths of all prediction shards.
      statistic: the setting; None is `score` if the first record of a trial that did not diverge
        holds one, and `correctness` otherwise.

    Raises:
      InputError: if the statistic is `score` and that record holds none.
    """
    if statistic not in (None, "score"):
        return Measure(statistic)
    record, source = first_record(shards)
    if record is not None and record.has_scores:
        return Measure("score", record.score_name)
    if statistic is None or record is None:
        return Measure(statistic or "correctness")
    raise no_score(record, source)


def first_record(shards: Sequence[str]) -> tuple[TrialRecord | None, str]:
    """The first record of a trial that did not diverge, and where it is."""
    for shard in shards:
        with FileSystems.open(shard) as opened:
            for payload, source in read_records(opened, shard):
                record = TrialRecord.from_example(payload, source)
                if not record.diverged:
                    return record, source
    return None, ""


def no_score(record: TrialRecord, source: str) -> InputError:
    """The error for a record without scores, where others have them or the statistic needs them."""
    return InputError(
        f"{source}: trial {record.trial_id}: expected features 'train_score' and 'test_score', "
        "which estimation.statistic: score needs, received none"
    )


def confidence(record: TrialRecord, source: str, split: Split, statistic: Statistic) -> Confidence:
    """How sure the model of a trial is of true labels.

    Raises:
      InputError: if the record does not say, or says what cannot be.
    """
    found = record.confidence(split, source)
    margin, earlier = TrialRecord.confidence_features(split)
    alternative = f" (or {earlier!r} of earlier versions)" if statistic == "probability" else ""
    if found is None or not (alternative or found.are_margins.all()):
        received = "but there is none" if found is None else f"received only {earlier!r}"
        raise InputError(
            f"{source}: expected a feature {margin!r}{alternative}, "
            f"which estimation.statistic: {statistic} needs, {received}: it is written "
            "where training.probabilities is true"
        )
    return found


def values_of(record: OneTrial, source: str, split: Split, measure: Measure) -> np.ndarray:
    """The numbers of one trial `[examples]`.

    Raises:
      InputError: if the record does not hold them, or holds those of another score.
    """
    if isinstance(record, SubsetMeans):
        return record.train if split == "train" else record.test
    if measure.statistic == "correctness":
        return record.correctness(split, source)
    if measure.statistic != "score":
        found = confidence(record, source, split, measure.statistic)
        check_finite(found.values[0], f"{source}: trial {record.trial_id}: {split}_margin")
        read = {
            "probability": found.probabilities,
            "margin": found.margins,
            "loss": found.log_probabilities,
        }
        return read[measure.statistic]()[0]
    if not record.has_scores:
        raise no_score(record, source)
    if record.score_name != measure.score:
        raise InputError(
            f"{source}: trial {record.trial_id}: expected the score {measure.score!r} of other "
            f"trials, received {record.score_name!r}"
        )
    return record.scores(split)


class Ranges(NamedTuple):
    """The ranges of the values of all training and of all test examples."""

    train: Range
    test: Range


class _JoinRanges(beam.CombineFn):
    """Ranges of all records, which do not depend on their order."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure

    def create_accumulator(self) -> list[Ranges]:
        return []

    def add_input(self, accumulator: list[Ranges], element: tuple[OneTrial, str]) -> list[Ranges]:
        return self.merge_accumulators([accumulator, [ranges_of([element], self._measure)]])

    def merge_accumulators(self, accumulators: Iterable[list[Ranges]]) -> list[Ranges]:
        found = [ranges for accumulator in accumulators for ranges in accumulator]
        return [Ranges(*map(joined, zip(*found, strict=True)))] if found else []

    def extract_output(self, accumulator: list[Ranges]) -> Scales | None:
        return scales_of(accumulator[0], self._measure) if accumulator else None


def ranges_of(records: Sequence[tuple[OneTrial, str]], measure: Measure) -> Ranges:
    """The ranges of values in some records, at least one."""
    train, test = (
        range_of(np.stack([values_of(*record, split, measure) for record in records]))
        for split in ("train", "test")
    )
    return Ranges(train, test)


def scales_of(ranges: Ranges, measure: Measure) -> Scales | None:
    """The scales of all examples; None where all values are from 0 to 1, as of shares.

    A score of such values has the errors of a probability, which it may well be.
    """
    if measure.statistic in BOUNDED:
        return None
    within = all((found.least >= 0).all() and (found.greatest <= 1).all() for found in ranges)
    if measure.statistic == "score" and within:
        return None
    return Scales(scale_of(ranges.train), scale_of(ranges.test))


@beam.ptransform_fn
def FindScales(
    records: beam.PCollection[tuple[OneTrial, str]], measure: Measure
) -> beam.PCollection[Scales | None]:
    """The scales of all examples, from the records of all trials (see `scales_of`)."""
    return records | "JoinRanges" >> beam.CombineGlobally(_JoinRanges(measure))
