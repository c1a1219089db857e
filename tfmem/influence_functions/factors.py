"""Factors of the curvature of softmax cross entropy by logits, the covariance of the label."""

from __future__ import annotations

import numpy as np


def covariance_factors(p: np.ndarray) -> np.ndarray:
    """Returns vectors whose outer products sum to `diag(p) - p p^T`: `[n, classes - 1, classes]`.

    They are the columns of its Cholesky factor, in closed form: a label can be drawn by deciding
    for each class in turn between it and the later ones, and the variances of these decisions add
    up.
    """
    n, classes = p.shape
    rest = np.cumsum(p[:, ::-1], axis=1)[:, ::-1]  # probability of this class and later ones
    rest = np.maximum(rest, np.finfo(np.float64).tiny)
    factors = np.zeros((n, classes - 1, classes))
    for c in range(classes - 1):
        factors[:, c, c] = 1
        factors[:, c, c + 1 :] = -p[:, c + 1 :] / rest[:, c + 1, None]
        factors[:, c] *= np.sqrt(p[:, c] * rest[:, c + 1] / rest[:, c])[:, None]
    return factors


def sampled_factors(p: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draws `count` vectors for each example, whose outer products sum to that matrix on average.

    Returns:
      `[n, count, classes]`.
    """
    draws = rng.random((len(p), count, 1))
    drawn = np.minimum((draws > np.cumsum(p, axis=1)[:, None]).sum(axis=2), p.shape[1] - 1)
    return (p[:, None] - np.eye(p.shape[1])[drawn]) / np.sqrt(count)
