"""What every solver is: a way to pair two gradients through the inverse of the curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfmem.influence_functions.objective import Objective

DAMPING = 5e-3


@dataclass(frozen=True)
class Solution:
    """What a solver makes of vectors `v`.

    Attributes:
      paired: `[k, d]`; `paired[i] @ project(u)` is `v[i]^T (H + damping)^-1 u`. Where `d` is the
        number of parameters it is the solution itself, and `project` changes nothing.
      own: float64 `[k]`, `v[i]^T (H + damping)^-1 v[i]`.
      residuals: float64 `[k]`, `|(H + damping) x - v| / |v|`; NaN from a solver that has no `x`.
      converged: bool `[k]`; what has not must not be used.
    """

    paired: np.ndarray
    own: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray

    @classmethod
    def of(
        cls, paired: np.ndarray, projected: np.ndarray, residuals: np.ndarray, converged: np.ndarray
    ) -> Solution:
        """What is made of vectors that are projected as `Solver.project` does, `[k, d]`."""
        own = np.einsum("ij,ij->i", paired, projected, dtype=np.float64)
        return cls(paired, own, residuals, converged)


class Solver(Protocol):
    """A solver that is ready for an objective.

    Attributes:
      name: what it is called in records.
      objective: whose curvature it inverts.
      curvature: which, in words.
      damping: what is added to its diagonal; in the units of the mean loss, as the weight decay is,
        which comes on top.
      at_once: how many vectors it takes best.
    """

    name: str
    objective: Objective
    curvature: str
    damping: float
    at_once: int

    def solve(self, vectors: np.ndarray) -> Solution:
        """Solves for vectors `[k, p]`."""

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Vectors `[k, p]` as `[k, d]`, the form in which they meet solutions."""

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """The vectors `x`, `[k, p]`, with `x @ u == paired @ project(u)` for every `u`.

        That is the transpose of `project`; where that changes nothing, neither does this.
        """


def vectors_within(objective: Objective, size: int) -> int:
    """How many vectors go into so many bytes: from 1 to 512."""
    return int(np.clip(size // (objective.num_parameters * objective.dtype.itemsize), 1, 512))


def row_norms(vectors: np.ndarray) -> np.ndarray:
    """Euclidean norms of `[k, p]`, float64 `[k]`."""
    return np.sqrt(dots(vectors, vectors))


def dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Inner products of the rows of two `[k, p]`, summed in float64: `[k]`."""
    return np.array([np.sum(a * b, dtype=np.float64) for a, b in zip(left, right, strict=True)])


def relative(residual: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Lengths of residuals relative to those of the vectors; 0 for a vector of zeros."""
    norms = row_norms(vectors)
    return np.divide(row_norms(residual), norms, out=np.zeros(len(norms)), where=norms > 0)
