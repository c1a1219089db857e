"""Sequences of different lengths in one array, padded with zeros."""

from __future__ import annotations

import numpy as np


def lengths(examples: np.ndarray) -> np.ndarray:
    """Length of each sequence in `[examples, length, ...]` without the zeros at its end, int64."""
    used = examples.reshape(*examples.shape[:2], -1).any(axis=2)
    return np.where(used, np.arange(1, used.shape[1] + 1), 0).max(axis=1)
