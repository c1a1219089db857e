"""Finds the candidates among counted pairs, with bounds that rise during the search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import ClassCounts, TestCounts, TrainCounts, memorization
from tfmem.estimation.search import FoundPairs, TooMany
from tfmem.estimation.significance import (
    bins_of_thresholds,
    log_mean_p_values,
    log_p_values,
    normal_quantile,
)
from tfmem.messages.errors import InputError
from tfmem.selection.candidates import (
    Candidates,
    concatenate,
    meets_rule,
    signed,
    signed_influence,
)
from tfmem.selection.effects import least_covariance, spread_of, width_of
from tfmem.selection.memorized import meets_condition

SearchPairs = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], FoundPairs]

_FALSE_CANDIDATES = 200_000  # how many pairs without influence may be candidates
_MOST = 20_000_000  # candidates that are kept: 2 GB
_FEW_ROWS, _ROWS = 64, 8_192  # rows searched at once, at first and at most


def in_class(counts: ClassCounts, settings: SelectionSettings, possible: int) -> Candidates:
    """The candidates of one class.

    Args:
      counts: sums over trials for the class.
      settings: the rule of selection.
      possible: number of pairs of all classes, whether their training example is memorized or not.

    Raises:
      InputError: if memory has no room for all candidates.
    """
    label = np.full(len(counts.test_index), counts.label, np.int64)
    tests = TestCounts(
        counts.test_index, label, counts.test_correct, counts.test_uncertain, counts.test_scale
    )
    finder = _Finder(counts.train, tests, settings, possible)
    rows = finder.rows
    if len(rows) and len(label):
        low, high = finder.bounds(rows)
        both = counts.test_correct_in[rows].astype(counts.test_correct.dtype)
        covariance = counts.train.num_trials * both
        covariance -= counts.train.num_in[rows, None] * counts.test_correct
        row, column = np.nonzero((covariance <= low) | (covariance >= high))
        uncertain = counts.test_uncertain_in
        inside = None if uncertain is None else uncertain[rows[row], column]
        finder.add(FoundPairs(rows[row], column, both[row, column], inside))
    return finder.candidates()


def in_all_classes(
    train: TrainCounts,
    masks: np.ndarray,
    tests: TestCounts,
    search: SearchPairs,
    settings: SelectionSettings,
    possible: int,
) -> Candidates:
    """The candidates among all pairs of some training examples and all test examples.

    Args:
      train: sums over trials for the training examples.
      masks: `[train, …]`, their subsets, as `search` takes them.
      tests: the test examples.
      search: searches the pairs of training and test examples; see `Search` for its arguments.
      settings: the rule of selection.
      possible: number of all pairs of a training and a test example.

    Raises:
      InputError: if memory has no room for all candidates.
    """
    finder = _Finder(train, tests, settings, possible)
    start, step = 0, _FEW_ROWS
    while start < len(finder.rows):
        rows = finder.rows[start : start + step]
        try:
            found = search(masks[rows], train.num_in[rows], *finder.bounds(rows))
        except TooMany:
            if step == 1:
                raise _too_many() from None
            step = max(1, step // 4)
            continue
        finder.add(found._replace(row=rows[found.row]))
        start, step = start + len(rows), min(2 * step, _ROWS)
    return finder.candidates()


class _Finder:
    """Bounds for the counts of candidates, and the candidates found so far."""

    def __init__(
        self, train: TrainCounts, tests: TestCounts, settings: SelectionSettings, possible: int
    ) -> None:
        self._train = train
        self._tests = tests
        self._settings = settings = settings.resolved(train.measure.statistic)
        self._slack = 0.5 if tests.scale is None else 1e-6  # of covariances, for rounding
        self._least_p = min(1.0, _FALSE_CANDIDATES / max(possible, 1))
        self._quantile = normal_quantile(self._least_p / (2 if settings.sign == "both" else 1))
        self._estimated = int(((train.num_in > 0) & (train.num_out > 0)).sum())
        self.rows = np.flatnonzero(meets_condition(train, settings))
        self._best = np.zeros(len(tests.index))  # signed influence that is not among the top
        self._value = memorization(train).value
        self._spread = spread_of(tests, train.num_trials)
        self._width = width_of(tests.scale)
        none, floats = np.zeros(0, np.int64), None if tests.uncertain is None else np.zeros(0)
        self._chosen = self._pairs(FoundPairs(none, none, none, floats))

    def bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Covariances, float64 `[test]` each, at or beyond which pairs may be candidates.

        The bounds hold for all `rows` (see `Search`), so some pairs beyond them are no candidates.
        """
        settings, spread = self._settings, self._spread
        squares = (self._train.num_in * self._train.num_out)[rows].astype(np.float64)
        edge = np.full(len(spread), np.inf)  # where all trials agree there is no evidence
        edge[spread > 0] = self._quantile * np.sqrt(squares.min() * spread[spread > 0])
        if settings.top_k:
            least = np.maximum(self._best * squares.min(), 2 * self._slack)
            edge = np.minimum(edge, least - self._slack)
        elif settings.fdr is None and settings.influence is not None:
            lowest = squares.min() if settings.influence > 0 else squares.max()
            least = self._least(lowest)
            edge = np.minimum(edge, least - self._slack)
        never = np.full(len(spread), np.inf)
        low = -never if settings.sign == "positive" else -edge
        return low, never if settings.sign == "negative" else edge

    def _least(self, squares: float) -> np.ndarray:
        """Covariances that reach the threshold of influence, `[test]`."""
        settings = self._settings
        return least_covariance(
            settings.influence or 0.0,
            settings.unit,
            squares,
            self._train.num_trials,
            self._spread,
            self._width,
        )

    def add(self, found: FoundPairs) -> None:
        """Adds the found pairs that are candidates; their `row` counts all rows."""
        joined = concatenate([self._chosen, self._pairs(found)])
        by_rule = meets_rule(joined, self._settings)
        if self._settings.top_k:
            self._raise_bounds(joined.take(by_rule))
        self._chosen = joined.take(by_rule | joined.significant)
        check_count(len(self._chosen.train_index))

    def _raise_bounds(self, top: Candidates) -> None:
        column = np.searchsorted(self._tests.index, top.test_index)
        full = np.bincount(column, minlength=len(self._best)) == self._settings.top_k
        least = np.full(len(self._best), np.inf)
        np.minimum.at(least, column, signed_influence(top, self._settings))
        if self._width is not None:
            least /= self._width
        self._best[full] = least[full]

    def _pairs(self, found: FoundPairs) -> Candidates:
        train, tests, trials = self._train, self._tests, self._train.num_trials
        both, num_in, right = found.both, train.num_in[found.row], tests.correct[found.column]
        covariance = trials * both - num_in * right
        deviation = np.sqrt(num_in * (trials - num_in) * self._spread[found.column])
        if tests.uncertain is None:
            log_p = log_p_values(both, num_in, right, trials, self._settings.sign)
        else:
            log_p = log_mean_p_values(covariance, deviation, self._settings.sign)
        edge = np.full(len(deviation), np.inf)  # where all trials agree there is no evidence
        np.multiply(self._quantile, deviation, out=edge, where=deviation > 0)
        far = signed(covariance, self._settings) >= edge
        return Candidates(
            num_trials=trials,
            measure=train.measure,
            rows=0,
            rows_in=0,
            tested=np.zeros(0, np.int64),
            family=0,
            train_index=train.index[found.row],
            test_index=tests.index[found.column],
            label=train.label[found.row],
            test_label=tests.label[found.column],
            num_in=num_in,
            correct=right,
            correct_in=both,
            memorization=self._value[found.row],
            log_p=log_p,
            significant=far & (np.exp(log_p) <= self._least_p),
            uncertain=None if tests.uncertain is None else tests.uncertain[found.column],
            uncertain_in=found.uncertain_in,
            spread=self._spread[found.column],
            width=None if self._width is None else self._width[found.column],
        )

    def candidates(self) -> Candidates:
        """All candidates that were found."""
        rows = len(self.rows)
        return replace(
            self._chosen,
            rows=rows,
            rows_in=int(self._train.num_in[self.rows].sum()),
            tested=rows * self._tested(),
            family=self._estimated * len(self._tests.index),
        )

    def _tested(self) -> np.ndarray:
        """How many test examples there are by what chance makes of them (see `Candidates`)."""
        trials, settings = self._train.num_trials, self._settings
        if settings.unit == "sd" or self._width is not None:
            with np.errstate(divide="ignore", invalid="ignore"):
                in_sds = self._least(1.0) / np.sqrt(self._spread / trials)
            return bins_of_thresholds(in_sds)
        by = self._tests.correct
        if self._tests.uncertain is not None:
            by = (4 * self._spread * max(trials - 1, 1) / trials).astype(np.int64)
        return np.bincount(by, minlength=trials + 1)


def check_count(pairs: int) -> None:
    """Refuses a number of pairs for which memory has no room.

    Raises:
      InputError: if there are too many pairs.
    """
    if pairs > _MOST:
        raise _too_many()


def _too_many() -> InputError:
    return InputError(
        f"more than {_MOST:,} pairs would be kept: raise selection.influence or "
        "selection.memorization, or set selection.top_k"
    )
