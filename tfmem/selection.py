"""Which pairs matter: candidates found in counts, and the choice among all of them.

A pair is a candidate if it meets the rule of the settings, or if its p-value is so small that the
false discovery rate of others depends on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from typing import Any

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.errors import InputError
from tfmem.estimation.estimator import (
    ClassCounts,
    TestCounts,
    TrainCounts,
    difference,
    less,
    memorization,
)
from tfmem.estimation.search import Found, Search, TooMany
from tfmem.estimation.significance import (
    expected_by_chance,
    expected_means_by_chance,
    mean_p_values,
    normal_quantile,
    p_values,
    q_values,
)
from tfmem.pairs import Pairs

_FALSE_CANDIDATES = 200_000  # how many pairs without influence may be candidates
_MOST = 20_000_000  # candidates that are kept: 2 GB
_FEW_ROWS, _ROWS = 64, 8_192  # rows searched at once, at first and at most


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be selected, as counts; arrays are int64 `[pairs]` unless said otherwise.

    Where the statistic is probability, `correct` and `correct_in` are float64 sums of it.

    Attributes:
      num_trials: number of trials `t`.
      rows: how many training examples were looked at.
      rows_in: sum of their `num_in`.
      tested: `[num_trials + 1]`, how many pairs were looked at, by the `correct` of their test
        example, or the variance of its probability: 0 to 1/4 in `num_trials` steps.
      train_index: training examples.
      test_index: test examples.
      label: classes of the training examples.
      test_label: classes of the test examples.
      num_in: trials with the training example in the subset.
      correct: trials that predict the test example correctly.
      correct_in: those of them with the training example in the subset.
      memorization: float64, of the training examples.
      p_value: float64 (see `p_values`).
      significant: bool, whether it is so small that false discovery rates depend on it.
      uncertain: float64, sums of `p (1 - p)` of the test examples; None for correctness.
      uncertain_in: likewise over trials with the training example in the subset.
    """

    num_trials: int
    rows: int
    rows_in: int
    tested: np.ndarray
    train_index: np.ndarray
    test_index: np.ndarray
    label: np.ndarray
    test_label: np.ndarray
    num_in: np.ndarray
    correct: np.ndarray
    correct_in: np.ndarray
    memorization: np.ndarray
    p_value: np.ndarray
    significant: np.ndarray
    uncertain: np.ndarray | None = None
    uncertain_in: np.ndarray | None = None

    @property
    def num_out(self) -> np.ndarray:
        """Trials without the training example."""
        return self.num_trials - self.num_in

    @property
    def covariance(self) -> np.ndarray:
        """`influence * num_in * num_out`, exactly."""
        return self.num_trials * self.correct_in - self.num_in * self.correct

    def take(self, which: np.ndarray) -> Candidates:
        """Some of the pairs."""
        return replace(self, **{name: getattr(self, name)[which] for name in self.columns})

    @property
    def columns(self) -> list[str]:
        """Names of the arrays `[pairs]` that are there."""
        return [name for name in _COLUMNS if getattr(self, name) is not None]


_SUMS = "rows", "rows_in", "tested"
_COLUMNS = [f.name for f in fields(Candidates) if f.name not in ("num_trials", *_SUMS)]


def in_class(counts: ClassCounts, settings: SelectionSettings, possible: int) -> Candidates:
    """The candidates of one class.

    Args:
      counts: sums over trials for the class.
      settings: what is selected.
      possible: pairs of all classes, whether their training example is memorized or not.

    Raises:
      InputError: if there are more than memory has room for.
    """
    label = np.full(len(counts.test_index), counts.label, np.int64)
    tests = TestCounts(counts.test_index, label, counts.test_correct, counts.test_uncertain)
    finder = _Finder(counts.train, tests, settings, possible)
    rows = finder.rows
    if len(rows) and len(label):
        low, high = finder.bounds(rows)
        both = counts.test_correct_in[rows].astype(counts.test_correct.dtype)
        covariance = counts.train.num_trials * both
        covariance -= counts.train.num_in[rows, None] * counts.test_correct
        row, column = np.nonzero((covariance <= low) | (covariance >= high))
        found = Found(rows[row], column, both[row, column])
        uncertain = counts.test_uncertain_in
        finder.add(found, None if uncertain is None else uncertain[found.row, column])
    return finder.candidates()


def in_all_classes(
    train: TrainCounts,
    masks: np.ndarray,
    tests: TestCounts,
    search: Search,
    settings: SelectionSettings,
    possible: int,
) -> Candidates:
    """The candidates among all pairs of some training examples and all test examples.

    Args:
      train: sums over trials for the training examples.
      masks: uint64 `[train, words]`, their subsets packed along trials.
      tests: the test examples.
      search: searches them.
      settings: what is selected.
      possible: pairs of all training and test examples.

    Raises:
      InputError: if there are more than memory has room for.
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
        self._settings = settings
        self._least_p = min(1.0, _FALSE_CANDIDATES / max(possible, 1))
        self._quantile = normal_quantile(self._least_p / (2 if settings.sign == "both" else 1))
        threshold = _exact(settings.memorization)
        covariance = train.num_trials * train.correct_in - train.num_in * train.correct
        estimated = (train.num_in > 0) & (train.num_out > 0)
        self.rows = np.flatnonzero(
            estimated & _at_least(covariance, train.num_in * train.num_out, threshold)
        )
        self._best = np.zeros(len(tests.index))  # signed influence that is not among the top
        self._value = memorization(train).value
        self._spread = _spread(tests, train.num_trials)
        none = np.zeros((3, 0), np.int64)
        self._chosen = self._pairs(Found(*none), None if tests.uncertain is None else none[0])

    def bounds(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Covariances, float64 `[test]` each, at or beyond which pairs may be candidates.

        See `Search`; those of all rows, so that some pairs within are no candidates.
        """
        settings, spread = self._settings, self._spread
        squares = (self._train.num_in * self._train.num_out)[rows].astype(np.float64)
        edge = np.full(len(spread), np.inf)  # where all trials agree there is no evidence
        edge[spread > 0] = self._quantile * np.sqrt(squares.min() * spread[spread > 0])
        if settings.top_k:
            edge = np.minimum(edge, np.maximum(self._best * squares.min(), 1) - 0.5)
        elif settings.fdr is None:
            least = settings.influence
            edge = np.minimum(edge, least * (squares.min() if least > 0 else squares.max()) - 0.5)
        never = np.full(len(spread), np.inf)
        low = -never if settings.sign == "positive" else -edge
        return low, never if settings.sign == "negative" else edge

    def add(self, found: Found, uncertain_in: np.ndarray | None = None) -> None:
        """Takes over those of the pairs that are candidates; `row` is among all rows."""
        joined = concatenate([self._chosen, self._pairs(found, uncertain_in)])
        by_rule = meets_rule(joined, self._settings)
        if self._settings.top_k:
            self._raise_bounds(joined.take(by_rule))
        self._chosen = joined.take(by_rule | joined.significant)
        if len(self._chosen.train_index) > _MOST:
            raise _too_many()

    def _raise_bounds(self, top: Candidates) -> None:
        column = np.searchsorted(self._tests.index, top.test_index)
        full = np.bincount(column, minlength=len(self._best)) == self._settings.top_k
        least = np.full(len(self._best), np.inf)
        np.minimum.at(least, column, signed_influence(top, self._settings))
        self._best[full] = least[full]

    def _pairs(self, found: Found, uncertain_in: np.ndarray | None) -> Candidates:
        train, tests, trials = self._train, self._tests, self._train.num_trials
        both, num_in, right = found.both, train.num_in[found.row], tests.correct[found.column]
        covariance = trials * both - num_in * right
        deviation = np.sqrt(num_in * (trials - num_in) * self._spread[found.column])
        if tests.uncertain is None:
            p = p_values(both, num_in, right, trials, self._settings.sign)
        else:
            p = mean_p_values(covariance, deviation, self._settings.sign)
        covariance = _signed(covariance, self._settings)
        return Candidates(
            num_trials=trials,
            rows=0,
            rows_in=0,
            tested=np.zeros(trials + 1, np.int64),
            train_index=train.index[found.row],
            test_index=tests.index[found.column],
            label=train.label[found.row],
            test_label=tests.label[found.column],
            num_in=num_in,
            correct=right,
            correct_in=both,
            memorization=self._value[found.row],
            p_value=p,
            significant=(p <= self._least_p) & (covariance >= self._quantile * deviation),
            uncertain=None if tests.uncertain is None else tests.uncertain[found.column],
            uncertain_in=uncertain_in,
        )

    def candidates(self) -> Candidates:
        """All that were found."""
        rows, trials = len(self.rows), self._train.num_trials
        by = self._tests.correct
        if self._tests.uncertain is not None:
            by = (4 * self._spread * max(trials - 1, 1) / trials).astype(np.int64)
        return replace(
            self._chosen,
            rows=rows,
            rows_in=int(self._train.num_in[self.rows].sum()),
            tested=rows * np.bincount(by, minlength=trials + 1),
        )


def concatenate(parts: Sequence[Candidates]) -> Candidates:
    """Candidates of different examples together.

    Args:
      parts: at least one.
    """
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0].columns
    }
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
    return replace(parts[0], **sums, **columns)


def signed_influence(pairs: Candidates, settings: SelectionSettings) -> np.ndarray:
    """What is to be large: the influence, its negative, or its absolute value, `[pairs]`."""
    return _signed(pairs.covariance, settings) / (pairs.num_in * pairs.num_out)


def meets_rule(pairs: Candidates, settings: SelectionSettings) -> np.ndarray:
    """Which pairs are selected whatever the false discovery rate, bool `[pairs]`.

    The threshold is compared as an exact fraction of the counts, so that an influence of 3/20 is at
    the threshold 0.15 although the difference of its floating-point quotients is below it.
    """
    if settings.top_k:
        return _strongest(pairs, settings)
    if settings.fdr is not None:
        return np.zeros(len(pairs.train_index), bool)
    covariance = _signed(pairs.covariance, settings)
    return _at_least(covariance, pairs.num_in * pairs.num_out, _exact(settings.influence))


def influence_thresholds(settings: SelectionSettings) -> list[float]:
    """The influences at which a selection cuts off; none if it is by rate or by rank."""
    if settings.fdr is not None or settings.top_k:
        return []
    signs = {"positive": [1], "negative": [-1], "both": [-1, 1]}[settings.sign]
    return [sign * settings.influence for sign in signs]


def _spread(tests: TestCounts, trials: int) -> np.ndarray:
    """Variance of the covariance without influence, over `num_in * num_out`, `[test]`."""
    squares = tests.correct * (trials - tests.correct)
    if tests.uncertain is not None:
        squares = np.maximum(squares - trials * tests.uncertain, 0)
    return squares / max(trials - 1, 1)


def _signed(covariance: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    if settings.sign == "both":
        return np.abs(covariance)
    return -covariance if settings.sign == "negative" else covariance


def _strongest(pairs: Candidates, settings: SelectionSettings) -> np.ndarray:
    """The `top_k` pairs of each test example; ties by index of the training example."""
    value = signed_influence(pairs, settings)
    order = np.lexsort((pairs.train_index, -value, pairs.test_index))
    test = pairs.test_index[order]
    rank = np.arange(len(test)) - np.searchsorted(test, test)
    chosen = np.zeros(len(test), bool)
    chosen[order] = rank < (settings.top_k or 0)
    return chosen & (value > 0)


def _exact(threshold: float) -> Fraction:
    return Fraction(str(threshold)).limit_denominator(10**6)


def _at_least(covariance: np.ndarray, squares: np.ndarray, threshold: Fraction) -> np.ndarray:
    """Whether `covariance / squares >= threshold`, in integers."""
    return covariance * threshold.denominator >= threshold.numerator * squares


def _too_many() -> InputError:
    return InputError(
        f"more than {_MOST:,} pairs would be kept: raise selection.influence or "
        "selection.memorization, or set selection.top_k"
    )


@dataclass(frozen=True)
class Selection:
    """The selected pairs, and what they were selected from.

    Attributes:
      pairs: most influential first; ties by training, then by test index.
      tested: pairs that were looked at: those whose training example is memorized.
      expected: how many of them reach the threshold of influence by chance.
    """

    pairs: Pairs
    tested: int
    expected: float


def settle(parts: Iterable[Candidates], settings: SelectionSettings) -> Selection:
    """Chooses among all candidates.

    Args:
      parts: at least one.
      settings: what is selected.

    Raises:
      InputError: if they are of different statistics.
    """
    parts = list(parts)
    if len({part.uncertain is None for part in parts}) > 1:
        raise InputError(
            "influence records of correctness and of probability: expected those of one statistic"
        )
    found = concatenate(parts)
    by_rule = meets_rule(found, settings)
    candidate = by_rule | found.significant
    found, by_rule = found.take(candidate), by_rule[candidate]
    tested = int(found.tested.sum())
    q = q_values(found.p_value, tested)
    chosen = np.flatnonzero(by_rule if settings.fdr is None else q <= settings.fdr)
    value = signed_influence(found, settings)[chosen]
    order = np.lexsort((found.test_index[chosen], found.train_index[chosen], -value))
    chosen = chosen[order]
    kept = found.take(chosen)
    influence = difference(
        kept.correct_in,
        kept.num_in,
        kept.correct - kept.correct_in,
        kept.num_out,
        kept.uncertain_in,
        less(kept.uncertain, kept.uncertain_in),
    )
    pairs = Pairs(
        train_index=kept.train_index,
        test_index=kept.test_index,
        label=kept.label,
        test_label=kept.test_label,
        memorization=kept.memorization,
        influence=influence.value,
        stderr=influence.stderr,
        ci_low=influence.low,
        ci_high=influence.high,
        p_value=kept.p_value,
        q_value=q[chosen],
    )
    included = round(found.rows_in / max(found.rows, 1))
    by_chance = expected_by_chance if found.uncertain is None else expected_means_by_chance
    expected = by_chance(
        settings.influence, included, found.tested, found.num_trials, settings.sign
    )
    return Selection(pairs, tested, expected)


def describe(settings: SelectionSettings, found: Mapping[str, float]) -> str:
    """A line on a selection, with a warning where much of it is noise.

    Args:
      settings: what was selected.
      found: `pairs`, how many there are; `tested`, among how many; `expected_by_chance`.
    """
    pairs, expected = found["pairs"], found["expected_by_chance"]
    said = f"{pairs:,} pairs selected among {found['tested']:,}"
    if settings.fdr is not None:
        return f"{said}, at a false discovery rate of {settings.fdr:g}"
    if settings.top_k:
        return f"{said}, {settings.top_k} at most for a test example"
    number = f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"
    rule = {"positive": "influence >= ", "negative": "influence <= -", "both": "|influence| >= "}
    said += f"; {number} with {rule[settings.sign]}{settings.influence:g} are expected by chance"
    if expected > max(1.0, 0.05 * pairs):
        said += "\nwarning: with so few trials this threshold admits noise: select by "
        said += "selection.fdr (--fdr 0.05), or train more"
    return said
