"""Exact inner products of subsets, from packed bits."""

from __future__ import annotations

import numpy as np

from tfmem.estimation.kernels import co_occurrence


def common(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """In how many training examples two subsets agree to hold them, for every pair.

    Args:
      first: uint8 `[first, bytes]`, packed as in records.
      second: uint8 `[second, bytes]`.

    Returns:
      float64 `[first, second]` of whole numbers.
    """
    return co_occurrence(_words(first), _words(second)).astype(np.float64)


def _words(masks: np.ndarray) -> np.ndarray:
    """Packed subsets as machine words, uint64 `[subsets, words]`."""
    padded = np.zeros((len(masks), -(-masks.shape[1] // 8) * 8), np.uint8)
    padded[:, : masks.shape[1]] = masks
    return padded.view("<u8").astype(np.uint64, copy=False)


def centred(gram: np.ndarray) -> np.ndarray:
    """The inner products of subsets less their mean, from those of the subsets themselves.

    Args:
      gram: float64 `[subsets, subsets]`, as `common` returns it.
    """
    means = gram.mean(axis=0)
    return gram - means - means[:, None] + means.mean()
