"""Selects pairs from estimates without counts, such as those of one model."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from tfmem.config import SelectionSettings
from tfmem.estimation.thresholds import at_least
from tfmem.messages.errors import InputError
from tfmem.selection.finding import check_count
from tfmem.selection.settling import Selection
from tfmem.store.pairs import ModelInfluence, Pairs

_UNKNOWN = "stderr", "ci_low", "ci_high", "p_value", "log10_p_value", "q_value"


def select_estimated(
    train: pd.DataFrame,
    test_labels: np.ndarray,
    blocks: Iterable[ModelInfluence],
    settings: SelectionSettings,
) -> Selection:
    """Selects pairs by the thresholds, or the strongest pairs of each test example.

    Args:
      train: the training examples with at least `settings.memorization`, by ascending index, with
        `memorization` and `label`.
      test_labels: int64 `[num_test]`.
      blocks: the influences of these training examples on test examples.
      settings: the rule of selection.

    Returns:
      The selection; standard errors and the number of pairs by chance are unknown and NaN.

    Raises:
      InputError: if the rule is a false discovery rate, or there are too many pairs.
    """
    check_rule(settings)
    labels = train["label"].to_numpy(np.int64)
    found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    tested = 0
    for block in blocks:
        tests, influence = block.test_index, block.influence
        may = np.ones(influence.shape, bool)
        if settings.pairs == "same_class":
            may = labels[:, None] == test_labels[tests]
        tested += int(may.sum())
        row, column = _chosen(np.where(may, influence, np.nan), settings)
        found.append((row, tests[column], influence[row, column]))
        check_count(sum(len(part[0]) for part in found))
    row, test, value = (
        np.concatenate([np.zeros(0, kind), *(part[place] for part in found)])
        for place, kind in enumerate((np.int64, np.int64, np.float64))
    )
    index = train.index.to_numpy(np.int64)
    order = np.lexsort((test, index[row], -_signed(value, settings)))
    row, test, value = row[order], test[order], value[order]
    unknown = np.full(len(row), np.nan)
    pairs = Pairs(
        train_index=index[row],
        test_index=test,
        label=labels[row],
        test_label=test_labels[test],
        memorization=train["memorization"].to_numpy(np.float64)[row],
        influence=value,
        **dict.fromkeys(_UNKNOWN, unknown),
    )
    return Selection(pairs, tested, float("nan"))


def check_rule(settings: SelectionSettings) -> None:
    """Refuses a rule that estimates without counts cannot follow.

    Raises:
      InputError: if the rule is a false discovery rate, or in standard deviations.
    """
    if settings.unit == "sd":
        raise InputError(
            "selection.unit: sd: one model gives no standard deviations; expected score"
        )
    if settings.fdr is not None:
        raise InputError(
            f"selection.fdr: {settings.fdr:g}: one model gives no p-values; expected "
            "selection.influence or selection.top_k"
        )


def _chosen(influence: np.ndarray, settings: SelectionSettings) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs; `influence` is NaN where there may be none."""
    value = np.nan_to_num(_signed(influence, settings), nan=-np.inf)
    chosen = at_least(value, settings.least_influence)
    if settings.top_k:
        order = np.argsort(-value, axis=0, kind="stable")[: settings.top_k]
        chosen = np.zeros(value.shape, bool)
        np.put_along_axis(chosen, order, True, axis=0)
        chosen &= value > 0
    row, column = np.nonzero(chosen)
    return row, column


def _signed(influence: np.ndarray, settings: SelectionSettings) -> np.ndarray:
    if settings.sign == "both":
        return np.abs(influence)
    return -influence if settings.sign == "negative" else influence
