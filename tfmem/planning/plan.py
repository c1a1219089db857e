"""Compares numbers of trials and subset fractions, and computes how many trials are needed."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from tfmem.messages.errors import InputError
from tfmem.planning.costs import PairsOf, Sizes, TrialTime, counting_bytes, record_bytes
from tfmem.planning.power import (
    chance,
    detectable,
    lemma_bound,
    num_in,
    p_value_needed,
    stderr,
    trials_needed,
)
from tfmem.subsets.drawing import subset_size

TYPICAL_RATE = 0.9


@dataclass(frozen=True)
class Question:
    """The influence that a run should find.

    Attributes:
      influence: the influence that the run should find, and the threshold of selection.
      fdr: false discovery rate of the selected pairs.
      discoveries: number of pairs that one expects to find; 1 assumes nothing.
      pairs: whether candidates are pairs of one class, or all.
    """

    influence: float = 0.15
    fdr: float = 0.05
    discoveries: int = 1
    pairs: PairsOf = "same-class"


@dataclass(frozen=True)
class Row:
    """One candidate.

    Attributes:
      trials: number of trials `t`.
      fraction: subset fraction `m/n`.
      stderr_worst: standard error of influence and memorization if models are right half of the
        time.
      stderr_typical: standard error of both if models are right 9 times in 10.
      stderr_memorization: standard error of memorization if models are always right on an example
        that they were trained on, and half of the time on others.
      lemma_bound: root mean square error that Lemma 2.1 guarantees.
      detected_half: smallest influence that is found with probability 1/2; NaN if none.
      detected_90: smallest influence that is found with probability 0.9; NaN if none.
      chance_pairs: expected number of pairs that reach the threshold by chance, at most.
      disk_bytes: bytes of all prediction records.
      memory_bytes: least memory that estimation needs.
      configured: whether trials and fraction are those of the configuration.
      hours: hours of training on the given machines; NaN if no trial was timed.
      machines_for_a_day: number of machines that train it in 24 hours; None if no trial was timed.
    """

    trials: int
    fraction: float
    stderr_worst: float
    stderr_typical: float
    stderr_memorization: float
    lemma_bound: float
    detected_half: float
    detected_90: float
    chance_pairs: float
    disk_bytes: int
    memory_bytes: int
    configured: bool
    hours: float = math.nan
    machines_for_a_day: int | None = None


@dataclass(frozen=True)
class Plan:
    """The candidates, and how many trials the question needs.

    Attributes:
      sizes: sizes of the data.
      question: the influence that the run should find.
      candidates: number of pairs among which the run searches.
      p_value: the p-value at which a pair is found.
      rows: candidates, by number of trials, then fraction.
      needed: by fraction, the trials at which `question.influence` is found with probability 0.9;
        None where that is more than 100,000.
      time: time of a trial, if any was timed.
      machines: number of machines, like the one that was timed, that train at the same time.
      repeats: number of models on each subset, which count as one trial in errors.
    """

    sizes: Sizes
    question: Question
    candidates: int
    p_value: float
    rows: tuple[Row, ...]
    needed: dict[float, int | None]
    time: TrialTime | None = None
    machines: int = 1
    repeats: int = 1

    @property
    def configured(self) -> Row:
        """The row of the configuration."""
        return next(row for row in self.rows if row.configured)

    def timed(self, time: TrialTime, machines: int = 1) -> Plan:
        """Returns this plan with hours.

        Args:
          time: time of a trial on one machine.
          machines: number of such machines that train at the same time.

        Raises:
          InputError: if there is no machine.
        """
        if machines < 1:
            raise InputError(f"machines: expected at least 1, received {machines}")

        def with_hours(row: Row) -> Row:
            hours = row.trials * time.seconds(row.fraction) / 3600
            days = max(1, math.ceil(hours / 24))
            return replace(row, hours=hours / machines, machines_for_a_day=days)

        rows = tuple(with_hours(row) for row in self.rows)
        return replace(self, rows=rows, time=time, machines=machines)

    def to_json(self) -> bytes:
        """Returns all numbers; unknown ones are null."""
        text = json.dumps(_without_nan(asdict(self)), indent=2, allow_nan=False)
        return text.encode() + b"\n"


def make_plan(
    sizes: Sizes,
    question: Question,
    configured: tuple[int, float],
    trials: Sequence[int],
    fractions: Sequence[float],
    probabilities: bool = True,
    repeats: int = 1,
) -> Plan:
    """Computes a plan.

    Of several models on each subset, estimates take the mean as one trial. Its variance is at most
    that of one model, which is what it is if the models of a subset agree, so errors are at most
    those of as many trials as there are subsets.

    Args:
      sizes: sizes of the data.
      question: the influence that the run should find.
      configured: trials and subset fraction of the configuration.
      trials: numbers of trials to compare with.
      fractions: subset fractions to compare with; every number of trials is combined with every
        fraction.
      probabilities: whether records also hold probabilities.
      repeats: number of models that are trained on each subset.

    Raises:
      InputError: if a number is out of its range.
    """
    pairs = sizes.candidates(question.pairs)
    p_value = p_value_needed(question.fdr, pairs, question.discoveries)
    trials = sorted({configured[0], *trials})
    fractions = sorted({configured[1], *fractions})
    for fraction in fractions:
        for count in trials:
            num_in(-(-count // repeats), fraction)
        subset_size(sizes.num_train, fraction)

    def row(trials: int, fraction: float) -> Row:
        subsets = -(-trials // repeats)
        half, most = detectable(subsets, fraction, p_value)
        return Row(
            trials=trials,
            fraction=fraction,
            stderr_worst=stderr(subsets, fraction, 0.5, 0.5),
            stderr_typical=stderr(subsets, fraction, TYPICAL_RATE, TYPICAL_RATE),
            stderr_memorization=stderr(subsets, fraction, 1.0, 0.5),
            lemma_bound=lemma_bound(subsets, fraction),
            detected_half=half,
            detected_90=most,
            chance_pairs=pairs * chance(subsets, fraction, question.influence),
            disk_bytes=trials * record_bytes(sizes, probabilities),
            memory_bytes=counting_bytes(sizes, subsets, question.pairs),
            configured=(trials, fraction) == configured,
        )

    def needed(fraction: float) -> int | None:
        subsets = trials_needed(question.influence, fraction, p_value)
        return None if subsets is None else repeats * subsets

    return Plan(
        sizes=sizes,
        question=question,
        candidates=pairs,
        p_value=p_value,
        rows=tuple(row(count, fraction) for count in trials for fraction in fractions),
        needed={fraction: needed(fraction) for fraction in fractions},
        repeats=repeats,
    )


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if value != value else value
