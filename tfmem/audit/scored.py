"""The evidence of an audit where models are compared by a score, or examples have no classes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfmem.aggregation.held import HeldTrials
from tfmem.aggregation.held_scores import HeldScores
from tfmem.estimation.significance import log_mean_p_values, q_values
from tfmem.store.bits import unpack

_FENCE = 3.0  # interquartile ranges below the first quartile: Tukey's outer fence
_BLOCK = 1 << 22  # number of influences to compute at once


def far_off(mean_out: np.ndarray) -> tuple[np.ndarray, float]:
    """Which examples have far lower scores than others in models that were trained without them.

    Args:
      mean_out: float64 `[num_train]`, mean scores of models without the example; NaN if unknown.

    Returns:
      bool `[num_train]`, and the outer fence of Tukey (1977), below which scores are far out: three
      interquartile ranges below the first quartile of all examples.
    """
    known = mean_out[~np.isnan(mean_out)]
    if not len(known):
        return np.zeros(len(mean_out), bool), np.nan
    low, high = np.quantile(known, [0.25, 0.75])
    fence = float(low - _FENCE * (high - low))
    return mean_out < fence, fence


def score_effects(
    held: HeldTrials | HeldScores,
    train_index: np.ndarray,
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    least: float,
    fdr: float,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Finds influences on mean scores that are significant, as `tfmem.audit.effects.effects` does.

    The p-values are those of the permutation test in its normal approximation, of either sign.

    Args:
      held: the trials.
      train_index: int64 `[chosen]`, the training examples whose influences are wanted.
      train_labels: int64 `[num_train]`.
      test_labels: int64 `[num_test]`.
      least: smallest absolute value of an influence.
      fdr: false discovery rate among all pairs of a training and a test example.

    Returns:
      A row for each influence: `train_index`, `test_index`, `influence`, `q_value`, the largest
      first; and the mean of each test example, float64 `[num_test]`.
    """
    masks = np.stack([unpack(row.tobytes(), len(train_labels)) for row in held.masks])
    values = _test_values(held, len(test_labels))
    apart = np.ptp(values, axis=0) > 0  # equal values have no variance by rounding
    trials, spread = len(values), np.where(apart, values.var(axis=0, ddof=1), 0.0)
    parts = [_NONE]
    size = max(1, _BLOCK // max(1, len(test_labels)))
    for start in range(0, len(train_index), size):
        rows = train_index[start : start + size]
        inside = masks[:, rows].T.astype(np.float64)
        num_in = inside.sum(axis=1)[:, None]
        centred = values - values.mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            influence = inside @ centred * trials / (num_in * (trials - num_in))
        deviation = np.sqrt(spread * trials / np.maximum(num_in * (trials - num_in), 1))
        same = train_labels[rows][:, None] == test_labels
        row, column = np.nonzero((same & (influence >= least)) | (influence <= -least))
        found = influence[row, column]
        p = np.exp(log_mean_p_values(found, deviation[row, column], "both"))
        columns = {"train_index": rows[row], "test_index": column, "influence": found, "p_value": p}
        parts.append(pd.DataFrame(columns))
    table = pd.concat(parts)
    table["q_value"] = q_values(
        table.pop("p_value").to_numpy(), len(train_labels) * len(test_labels)
    )
    table = table[table["q_value"] <= fdr].astype({"train_index": int, "test_index": int})
    return table, values.mean(axis=0)


_NONE = pd.DataFrame([], columns=("train_index", "test_index", "influence", "p_value"), dtype=float)


def _test_values(held: HeldTrials | HeldScores, count: int) -> np.ndarray:
    """What trials are compared by on test examples, float64 `[trials, num_test]`."""
    if isinstance(held, HeldScores):
        return held.test.astype(np.float64)
    return np.stack([unpack(row.tobytes(), count) for row in held.test_correct]).astype(np.float64)
