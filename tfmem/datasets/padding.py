"""Sequences of different lengths in one array, which are filled up with zeros."""

from __future__ import annotations

import numpy as np


def lengths(examples: np.ndarray) -> np.ndarray:
    """Places of sequences `[examples, length, ...]` up to the last one that is not 0, int64."""
    used = examples.reshape(*examples.shape[:2], -1).any(axis=2)
    return np.where(used, np.arange(1, used.shape[1] + 1), 0).max(axis=1)
