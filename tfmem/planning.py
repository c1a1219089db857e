"""What a number of trials and a subset fraction will show, and what they will cost.

All of it is known before anything is trained, from the sizes of the data and, for hours, from the
time of a few trials.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np

from tfmem.errors import InputError
from tfmem.power import (
    chance,
    detectable,
    lemma_bound,
    num_in,
    p_value_needed,
    stderr,
    trials_needed,
)
from tfmem.subsets import subset_size

PairsOf = Literal["same-class", "all"]
RECORD_OVERHEAD = 350  # bytes of a prediction record that are not bits or probabilities, at most
TILE = 1024  # training examples whose counts with all test examples are held at once
TYPICAL_RATE = 0.9


@dataclass(frozen=True)
class Sizes:
    """The sizes of a data set that a plan depends on.

    Attributes:
      num_train: training examples `n`.
      num_test: test examples `n'`.
      same_class_pairs: pairs of a training and a test example of one class.
      largest_class: the same of the class that has most.
    """

    num_train: int
    num_test: int
    same_class_pairs: int
    largest_class: int

    @classmethod
    def of_labels(cls, train_labels: np.ndarray, test_labels: np.ndarray) -> Sizes:
        """Counts pairs.

        Args:
          train_labels: int64 `[num_train]`.
          test_labels: int64 `[num_test]`.
        """
        classes = 1 + int(max(train_labels.max(initial=0), test_labels.max(initial=0)))
        train, test = (np.bincount(labels, minlength=classes) for labels in
                       (train_labels, test_labels))  # fmt: skip
        pairs = train * test
        return cls(len(train_labels), len(test_labels), int(pairs.sum()), int(pairs.max()))

    @classmethod
    def of_equal_classes(cls, num_train: int, num_test: int, classes: int) -> Sizes:
        """The sizes of a data set with as many examples of each class as of any other.

        The number of pairs is also right if that holds of the test examples alone, as in ImageNet.

        Raises:
          InputError: if there are more classes than examples, or none.
        """
        if not 1 <= classes <= min(num_train, num_test):
            raise InputError(
                "examples: expected numbers of training examples, test examples and classes, all "
                "at least 1 and no more classes than examples; received "
                f"{num_train}, {num_test}, {classes}"
            )
        block = -(-num_train // classes) * -(-num_test // classes)
        return cls(num_train, num_test, num_train * num_test // classes, block)

    def candidates(self, pairs: PairsOf) -> int:
        """How many pairs are looked at."""
        return self.same_class_pairs if pairs == "same-class" else self.num_train * self.num_test


def record_bytes(sizes: Sizes, probabilities: bool) -> int:
    """Bytes of one trial's prediction record on disk, within a hundred.

    One bit for each training example's place in the subset, one for each prediction, and float16
    probabilities of the true label if they are kept.
    """
    bits = 2 * -(-sizes.num_train // 8) + -(-sizes.num_test // 8)
    floats = 2 * (sizes.num_train + sizes.num_test) if probabilities else 0
    return bits + floats + RECORD_OVERHEAD


def counting_bytes(sizes: Sizes, trials: int, pairs: PairsOf) -> int:
    """The least memory that estimation needs for its numbers.

    The bits of all trials, packed along trials into 64-bit words, and the int32 counts of the
    largest class, or of a tile of 1,024 training examples with all test examples.
    """
    words = -(-trials // 64)
    bits = 8 * words * (2 * sizes.num_train + sizes.num_test)
    tile = min(TILE, sizes.num_train) * sizes.num_test
    return bits + 4 * (sizes.largest_class if pairs == "same-class" else tile)


@dataclass(frozen=True)
class TrialTime:
    """What a trial takes on one machine, all of whose lanes are at work.

    Attributes:
      training: seconds a trial in epochs over its subset.
      rest: seconds a trial otherwise, mostly in predictions of all examples.
      fraction: the subset fraction of the trials that were timed.
    """

    training: float
    rest: float
    fraction: float

    def seconds(self, fraction: float) -> float:
        """Seconds a trial on another subset fraction: epochs take as long as they have examples."""
        return self.training * fraction / self.fraction + self.rest


@dataclass(frozen=True)
class Question:
    """What is to be found.

    Attributes:
      influence: the influence that is to be found, and the threshold of selection.
      fdr: the false-discovery rate at which.
      discoveries: how many pairs one expects to find; 1 assumes nothing.
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
      stderr_worst: standard error of influence and memorization where models are right half of the
        time.
      stderr_typical: the same where they are right 9 times in 10.
      stderr_memorization: standard error of memorization where models are always right on what they
        were trained on, and half of the time without.
      lemma_bound: root mean square error that Lemma 2.1 guarantees.
      detected_half: smallest influence that is found with probability 1/2; NaN if none.
      detected_90: the same with probability 0.9.
      chance_pairs: expected number of pairs that reach the threshold by chance, at most.
      disk_bytes: of all prediction records.
      memory_bytes: what estimation holds at least.
      configured: whether it is what the configuration says.
      hours: of training on the machines that there are; NaN if no trial was timed.
      machines_for_a_day: how many machines train it in 24 hours; None likewise.
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
    """Candidates, and how many trials the question asks for.

    Attributes:
      sizes: of the data.
      question: what is to be found.
      candidates: number of pairs among which.
      p_value: at which one of them is found.
      rows: candidates, by number of trials, then fraction.
      needed: by fraction, the trials at which `question.influence` is found with probability 0.9;
        None where that is more than 100,000.
      time: of a trial, if any was timed.
      machines: like the one that was timed, side by side.
    """

    sizes: Sizes
    question: Question
    candidates: int
    p_value: float
    rows: tuple[Row, ...]
    needed: dict[float, int | None]
    time: TrialTime | None = None
    machines: int = 1

    @property
    def configured(self) -> Row:
        """The row of the configuration."""
        return next(row for row in self.rows if row.configured)

    def timed(self, time: TrialTime, machines: int = 1) -> Plan:
        """The same plan with hours.

        Args:
          time: of a trial, on one machine.
          machines: how many like it train side by side.

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
        """All numbers, those that are not known as null."""
        text = json.dumps(_without_nan(asdict(self)), indent=2, allow_nan=False)
        return text.encode() + b"\n"


def make_plan(
    sizes: Sizes,
    question: Question,
    configured: tuple[int, float],
    trials: Sequence[int],
    fractions: Sequence[float],
    probabilities: bool = True,
) -> Plan:
    """Computes all of a plan.

    Args:
      sizes: of the data.
      question: what is to be found.
      configured: trials and subset fraction of the configuration.
      trials: numbers of trials to compare with.
      fractions: subset fractions to compare with; every number of trials is combined with every
        fraction.
      probabilities: whether records also hold probabilities.

    Raises:
      InputError: if a number is out of its range.
    """
    pairs = sizes.candidates(question.pairs)
    p_value = p_value_needed(question.fdr, pairs, question.discoveries)
    trials = sorted({configured[0], *trials})
    fractions = sorted({configured[1], *fractions})
    for fraction in fractions:
        for count in trials:
            num_in(count, fraction)
        subset_size(sizes.num_train, fraction)

    def row(trials: int, fraction: float) -> Row:
        half, most = detectable(trials, fraction, p_value)
        return Row(
            trials=trials,
            fraction=fraction,
            stderr_worst=stderr(trials, fraction, 0.5, 0.5),
            stderr_typical=stderr(trials, fraction, TYPICAL_RATE, TYPICAL_RATE),
            stderr_memorization=stderr(trials, fraction, 1.0, 0.5),
            lemma_bound=lemma_bound(trials, fraction),
            detected_half=half,
            detected_90=most,
            chance_pairs=pairs * chance(trials, fraction, question.influence),
            disk_bytes=trials * record_bytes(sizes, probabilities),
            memory_bytes=counting_bytes(sizes, trials, question.pairs),
            configured=(trials, fraction) == configured,
        )

    return Plan(
        sizes=sizes,
        question=question,
        candidates=pairs,
        p_value=p_value,
        rows=tuple(row(count, fraction) for count in trials for fraction in fractions),
        needed={
            fraction: trials_needed(question.influence, fraction, p_value) for fraction in fractions
        },
    )


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if value != value else value
