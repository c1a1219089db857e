"""Pairs that may be selected, as counts.

A pair is a candidate if it meets the rule of the settings, or if its p-value is so small that the
false discovery rate of others depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import Measure
from tfmem.selection.effects import reaches


@dataclass(frozen=True)
class Candidates:
    """Pairs that may be selected, as counts; arrays are int64 `[pairs]` unless said otherwise.

    With another statistic than correctness, `correct` and `correct_in` are float64 sums of `z` (see
    `tfmem.estimation.estimator`).

    Attributes:
      num_trials: number of trials `t`.
      measure: what means are taken of.
      rows: number of training examples whose pairs were tested.
      rows_in: sum of the `num_in` of these examples.
      tested: number of tested pairs: by the `correct` of their test example, `[num_trials + 1]`; by
        the variance of its probability, from 0 to 1/4 in `num_trials` steps; or by the threshold
        in standard deviations (see `significance.bins_of_thresholds`).
      family: number of all pairs, whether their training example is memorized or not; false
        discovery rates are over all of these (see `choose_pairs`).
      train_index: training examples.
      test_index: test examples.
      label: classes of the training examples.
      test_label: classes of the test examples.
      num_in: trials with the training example in the subset.
      correct: trials that predict the test example correctly.
      correct_in: the trials among these with the training example in the subset.
      memorization: float64, memorization of the training examples.
      log_p: float64, natural logarithm of the p-value (see `log_p_values`).
      significant: bool, whether the p-value is so small that false discovery rates depend on it.
      uncertain: float64, sums of `z (1 - z)` of the test examples; None for correctness.
      uncertain_in: float64, these sums over trials with the training example in the subset.
      spread: float64, see `tfmem.selection.effects.spread_of`, of the test examples.
      width: float64, of the test examples' scales; None where they have none.
    """

    num_trials: int
    measure: Measure
    rows: int
    rows_in: int
    tested: np.ndarray
    family: int
    train_index: np.ndarray
    test_index: np.ndarray
    label: np.ndarray
    test_label: np.ndarray
    num_in: np.ndarray
    correct: np.ndarray
    correct_in: np.ndarray
    memorization: np.ndarray
    log_p: np.ndarray
    significant: np.ndarray
    spread: np.ndarray
    uncertain: np.ndarray | None = None
    uncertain_in: np.ndarray | None = None
    width: np.ndarray | None = None

    @property
    def num_out(self) -> np.ndarray:
        """Number of trials without the training example."""
        return self.num_trials - self.num_in

    @property
    def p_value(self) -> np.ndarray:
        """The p-values, float64; 0 if they are below 10^-323."""
        return np.exp(self.log_p)

    @property
    def covariance(self) -> np.ndarray:
        """`num_in * num_out` times the influence, over the width where there is a scale; exact."""
        return self.num_trials * self.correct_in - self.num_in * self.correct

    def take(self, which: np.ndarray) -> Candidates:
        """The pairs that `which` selects."""
        return replace(self, **{name: getattr(self, name)[which] for name in self.columns})

    @property
    def columns(self) -> list[str]:
        """Names of the arrays `[pairs]` that are not None."""
        return [name for name in _COLUMNS if getattr(self, name) is not None]


_SUMS = "rows", "rows_in", "tested", "family"
_COLUMNS = [f.name for f in fields(Candidates) if f.name not in ("num_trials", "measure", *_SUMS)]


def concatenate(parts: Sequence[Candidates]) -> Candidates:
    """Joins candidates of different examples.

    Args:
      parts: at least one set of candidates.
    """
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in parts[0].columns
    }
    sums: dict[str, Any] = {name: sum(getattr(part, name) for part in parts) for name in _SUMS}
    return replace(parts[0], **sums, **columns)


def signed_influence(pairs: Candidates, settings: SelectionSettings) -> np.ndarray:
    """The influence, its negative or its absolute value, which selection wants large: `[pairs]`."""
    value = signed(pairs.covariance, settings) / (pairs.num_in * pairs.num_out)
    return value if pairs.width is None else value * pairs.width


def meets_rule(pairs: Candidates, settings: SelectionSettings) -> np.ndarray:
    """Which pairs are selected whatever the false discovery rate, bool `[pairs]`."""
    if settings.top_k:
        return _strongest(pairs, settings)
    if settings.fdr is not None or settings.influence is None:
        return np.zeros(len(pairs.train_index), bool)
    return reaches(
        signed(pairs.covariance, settings),
        pairs.num_in * pairs.num_out,
        settings.influence,
        settings.unit,
        pairs.num_trials,
        pairs.spread,
        pairs.width,
    )


def signed(covariance: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    """The covariance, its negative, or its absolute value, as `settings.sign` says."""
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
