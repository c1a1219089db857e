"""Finds test examples that training examples help, within a class, or harm, in any class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.aggregation.bits import Bits
from tfmem.aggregation.held import hold_trials
from tfmem.aggregation.reading import load_labels
from tfmem.estimation.kernels import co_occurrence, ones
from tfmem.estimation.significance import p_values, q_values
from tfmem.estimation.thresholds import at_least
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.shards import shards_in

_BLOCK = 1 << 22  # number of influences to count at once


def effects(
    predictions: Path, train_index: np.ndarray, least: float, fdr: float
) -> tuple[pd.DataFrame, np.ndarray]:
    """Finds influences of some size that are significant, by how often models are right.

    Positive influences count within the class, as in pairs: if an example helps a test example of
    another class, that says nothing good about its label. Negative influences count in all classes,
    because a wrong label harms the class to which the example really belongs.

    Args:
      predictions: folder of the trials.
      train_index: int64 `[chosen]`, the training examples whose influences are wanted.
      least: smallest absolute value of an influence.
      fdr: false discovery rate among all pairs of a training and a test example, by Fisher's exact
        test for either sign. Pairs of other training examples, and pairs with a smaller influence,
        count as tests with p-value 1, because the same trials decide which pairs these are.

    Returns:
      A row for each influence: `train_index`, `test_index`, `influence`, `q_value`, the largest
      first; and how often models are right on each test example, float64 `[num_test]`.

    Raises:
      InputError: if the trials cannot be read.
    """
    path = str(predictions / LABELS_NAME)
    labels = load_labels(path)
    held = hold_trials(shards_in(predictions), path)
    bits, trials = held.turned(labels), len(held)
    every = len(labels.train_labels) * len(labels.test_labels)
    correct = ones(bits.test_correct)
    size = max(1, _BLOCK // max(1, len(correct)))
    parts = [
        _large(train_index[start : start + size], bits, labels, least)
        for start in range(0, len(train_index), size)
    ]
    columns = ("train_index", "test_index", "influence", "p_value")
    found = pd.concat([pd.DataFrame([], columns=columns, dtype=float), *parts])
    found["q_value"] = q_values(found.pop("p_value").to_numpy(), every)
    found = found[found["q_value"] <= fdr].astype({"train_index": int, "test_index": int})
    return ranked(found), correct / trials


def ranked(found: pd.DataFrame) -> pd.DataFrame:
    """Sorts influences by absolute value, the largest first."""
    order = found.sort_values("influence", key=np.abs, ascending=False, kind="stable")
    return order.reset_index(drop=True)


def large(
    influence: np.ndarray, train_labels: np.ndarray, test_labels: np.ndarray, least: float
) -> tuple[np.ndarray, np.ndarray]:
    """Finds large influences: positive ones within a class, and negative ones in all classes.

    Args:
      influence: `[train, test]`.
      train_labels: int64 `[train]`.
      test_labels: int64 `[test]`.
      least: smallest absolute value.

    Returns:
      Row and column of each, int64 `[found]`.
    """
    same = train_labels[:, None] == test_labels
    row, column = np.nonzero((same & at_least(influence, least)) | at_least(-influence, least))
    return row, column


def _large(rows: np.ndarray, bits: Bits, labels: Labels, least: float) -> pd.DataFrame:
    """Estimates the large influences of some training examples, with their p-values."""
    trials, masks = len(bits.trial_ids), bits.masks[rows]
    num_in, correct = ones(masks), ones(bits.test_correct)
    correct_in = co_occurrence(masks, bits.test_correct).astype(np.int64)
    with np.errstate(divide="ignore", invalid="ignore"):
        without = (correct - correct_in) / (trials - num_in)[:, None]
        influence = correct_in / num_in[:, None] - without
    row, column = large(influence, labels.train_labels[rows], labels.test_labels, least)
    p = p_values(correct_in[row, column], num_in[row], correct[column], trials, "both")
    return pd.DataFrame(
        {
            "train_index": rows[row],
            "test_index": column,
            "influence": influence[row, column],
            "p_value": p,
        }
    )
