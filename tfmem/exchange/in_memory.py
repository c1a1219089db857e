"""Memorization and influence from arrays: for models that were trained elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import psutil

from tfmem.aggregation.estimates import memorization_table
from tfmem.estimation.blocks import InfluenceBlock
from tfmem.estimation.independence import shared_subsets
from tfmem.estimation.outcomes import Outcomes, Subsets, check_masks, check_outcomes
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import warn
from tfmem.store.results import named_by_score

_PAIRS = 1 << 22  # how many are estimated at a time
_WORKING = 120  # bytes for each of them
_MOST = 0.8  # of the free memory
_COLUMNS = (
    "n_in", "n_out", "memorization", "stderr", "ci_low", "ci_high", "accuracy_in", "accuracy_out",
)  # fmt: skip


def memorization(masks: Any, correct: Any) -> pd.DataFrame:
    """Returns how much models memorized each training example, with errors.

    Memorization is how much more often models are right on an example that were trained with it
    than those that were trained without it (Feldman & Zhang 2020, Alg. 1, line 5). The values are
    those that `tfmem estimate` writes for the same trials.

        masks = np.random.default_rng(0).random((trials, num_train)) < 0.7
        …  # train a model on each masks[k]; correct[k] is where it is right on all examples
        tfmem.memorization(masks, correct).nlargest(10, "memorization")

    Args:
      masks: `[trials, num_train]` of False and True or 0 and 1: on which examples each model was
        trained.
      correct: `[trials, num_train]`, likewise: on which examples each model is right, those it was
        trained on and the others. Floats that are not all 0 or 1 are scores, of which more is
        better, and means of scores take the place of how often models are right; they count as
        float32.

    Returns:
      One row for each training example, by `index`: `n_in` and `n_out`, how many models were
      trained with it and without it; `memorization`, in [-1, 1], or in the unit of the score; its
      standard error `stderr` and 95% interval from `ci_low` to `ci_high`; `accuracy_in` and
      `accuracy_out`, in [0, 1], whose difference it is; or mean scores, `score_in` and `score_out`.
      Numbers are float32, as in records. Estimates are NaN for an example that was in every subset
      or in none.

    Raises:
      InputError: if there are fewer than two trials, or shapes do not fit. For a value that is
        neither 0 nor 1, or a score that is not finite, the error names trial and example.
    """
    bits = _masks(masks)
    subsets, outcomes = Subsets(bits), check_outcomes(correct, bits, "correct", "num_train")
    step = max(1, _PAIRS // subsets.trials)
    starts = range(0, outcomes.count, step)
    index = np.arange(outcomes.count)
    parts = [
        memorization_table(outcomes.of_training(subsets, index[start : start + step]))
        for start in starts
    ]
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    found = {name: columns[name] for name in ("index", *_COLUMNS)}
    for name, values in found.items():
        if values.dtype.kind == "f":
            found[name] = values.astype(np.float32)
    table = pd.DataFrame(found).set_index("index")
    return named_by_score(table) if outcomes.scored else table


def influence(
    masks: Any, correct_test: Any, train_labels: Any = None, test_labels: Any = None
) -> Influence:
    """Returns how much each training example influences each test example, with errors.

    Influence is how much more often models are right on the test example that were trained with the
    training example than those that were trained without it (Feldman & Zhang 2020, Alg. 1, line 7).

        found = tfmem.influence(masks, correct_test)
        found.influence[17].argmax()  # the test example that training example 17 helps most

    Args:
      masks: `[trials, num_train]` of False and True or 0 and 1: on which examples each model was
        trained.
      correct_test: `[trials, num_test]`, likewise: on which test examples each model is right.
        Floats that are not all 0 or 1 are scores, as for `memorization`.
      train_labels: `[num_train]` classes, names or whole numbers. With labels, only pairs of one
        class are estimated, and all others are NaN.
      test_labels: `[num_test]`, likewise.

    Returns:
      Estimates of all pairs, which are computed when they are first asked for.

    Raises:
      InputError: if there are fewer than two trials, or shapes do not fit. For a value that is
        neither 0 nor 1, or a score that is not finite, the error names trial and example.
    """
    bits = _masks(masks)
    outcomes = check_outcomes(correct_test, bits, "correct_test", "num_test")
    shape = bits.shape[1], outcomes.count
    if train_labels is None and test_labels is None:
        groups = [_Group(0, np.arange(shape[0]), np.arange(shape[1]))]
    else:
        groups = _by_class(train_labels, test_labels, shape)
    return Influence(Subsets(bits), outcomes, groups)


class _Group(NamedTuple):
    """Examples all of whose pairs are estimated: a class and int64 indices."""

    label: int
    train: np.ndarray
    test: np.ndarray


class Influence:
    """Influence of training examples on test examples, from arrays in memory.

    Attributes:
      num_trials: number of trials.
      n_in: int64 `[num_train]`, trials with the training example in the subset.
      n_out: int64 `[num_train]`, trials without it.
    """

    def __init__(self, subsets: Subsets, outcomes: Outcomes, groups: list[_Group]) -> None:
        """Takes over checked arrays; `tfmem.influence` makes them.

        Args:
          subsets: those of all trials.
          outcomes: how their models do on test examples.
          groups: which pairs are estimated.
        """
        self.num_trials = subsets.trials
        self.n_in = subsets.num_in
        self.n_out = subsets.trials - subsets.num_in
        self._subsets = subsets
        self._outcomes = outcomes
        self._groups = groups

    def __repr__(self) -> str:
        train, test = self.shape
        return f"Influence({train:,} training x {test:,} test examples, {self.num_trials:,} trials)"

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of training and of test examples."""
        return len(self.n_in), self._outcomes.count

    @property
    def influence(self) -> np.ndarray:
        """Influence, float64 `[num_train, num_test]` in [-1, 1], or in the unit of the score.

        The row of an example that was in every subset or in none is NaN.

        Raises:
          InputError: if there is not enough memory for all pairs; then `blocks` has them in parts.
        """
        return self._estimates[0]

    @property
    def stderr(self) -> np.ndarray:
        """Standard errors of `influence`, likewise."""
        return self._estimates[1]

    @property
    def ci_low(self) -> np.ndarray:
        """Lower ends of 95% intervals of `influence`, likewise."""
        return self._estimates[2]

    @property
    def ci_high(self) -> np.ndarray:
        """Upper ends of 95% intervals of `influence`, likewise."""
        return self._estimates[3]

    @cached_property
    def _estimates(self) -> np.ndarray:
        """All estimates with their errors, float64 `[4, num_train, num_test]`."""
        train, test = self.shape
        needed = 4 * 8 * train * test + _WORKING * min(_PAIRS, train * test)
        free = psutil.virtual_memory().available
        if needed > _MOST * free:
            raise InputError(
                f"influence: {train:,} x {test:,} pairs with their errors need "
                f"{needed / 1e9:,.1f} GB of memory, and {free / 1e9:,.1f} GB are free: blocks() "
                "yields them in parts"
            )
        found = np.full((4, train, test), np.nan)
        for block in self.blocks():
            errors, place = block.errors, np.ix_(block.train_index, block.test_index)
            for number, values in enumerate((errors.value, errors.stderr, errors.low, errors.high)):
                found[number][place] = values
        return found

    def blocks(self) -> Iterator[InfluenceBlock]:
        """Yields the influence of some training examples after another, whatever their number.

        A block has all test examples or, with labels, those of the class of its training examples.
        It holds about four million pairs, at least one training example.
        """
        for label, train, test in self._groups:
            step = max(1, _PAIRS // max(1, len(test)))
            for start in range(0, len(train), step):
                some = train[start : start + step]
                yield InfluenceBlock(self._outcomes.of_pairs(self._subsets, label, some, test))


def _masks(masks: Any) -> np.ndarray:
    """The subsets, checked; warns if some are equal."""
    bits = check_masks(masks)
    different = len({row.tobytes() for row in np.packbits(bits, axis=1)})
    if said := shared_subsets(len(bits), different, bits.shape[1]):
        warn(said)
    return bits


def _by_class(train: Any, test: Any, shape: tuple[int, int]) -> list[_Group]:
    """Groups of the examples of each class that has training and test examples."""
    named = [("train_labels", train, shape[0]), ("test_labels", test, shape[1])]
    labels = [_class_names(*each) for each in named]
    distinct, numbers = np.unique(np.concatenate(labels), return_inverse=True)
    members = [_members(part, len(distinct)) for part in np.split(numbers, [shape[0]])]
    return [_Group(label, *each) for label, each in enumerate(zip(*members, strict=True))]


def _members(numbers: np.ndarray, classes: int) -> list[np.ndarray]:
    """The indices of the examples of each class, ascending."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, classes)))


def _class_names(name: str, labels: Any, count: int) -> np.ndarray:
    """Classes as strings, so that 1, 1.0 and "1" are one."""
    if labels is None:
        raise InputError(f"{name}: expected the classes of {count:,} examples, received none")
    found = labels.to_numpy() if hasattr(labels, "to_numpy") else np.asarray(labels)
    if found.shape != (count,):
        raise InputError(f"{name}: expected [{count}], received {list(found.shape)}")
    if found.dtype == object:
        wrong = np.array([not isinstance(value, str | int) for value in found], bool)
    else:
        wrong = np.zeros(count, bool) if found.dtype.kind != "f" else ~(found == np.round(found))
    if wrong.any():
        example = int(wrong.argmax())
        raise InputError(
            f"{name}: example {example}: expected a class, as a name or a whole number, received "
            f"{found[example]}"
        )
    return (found.astype(np.int64) if found.dtype.kind in "buif" else found).astype(np.str_)
