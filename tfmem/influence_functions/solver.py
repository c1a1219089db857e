"""The protocol of solvers, which pair two gradients through the inverse of the curvature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tfmem.influence_functions.objective import Objective

DAMPING = 5e-3


@dataclass(frozen=True)
class Solution:
    """The result of a solver for vectors `v`.

    Attributes:
      paired: `[k, d]`; `paired[i] @ project(u)` is `v[i]^T (H + damping)^-1 u`. Where `d` is the
        number of parameters it is the solution itself, and `project` changes nothing.
      own: float64 `[k]`, `v[i]^T (H + damping)^-1 v[i]`.
      residuals: float64 `[k]`, `|(H + damping) x - v| / |v|`; NaN from a solver that has no `x`.
      converged: bool `[k]`; values that have not converged must not be used.
    """

    paired: np.ndarray
    own: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray

    @classmethod
    def of(
        cls, paired: np.ndarray, projected: np.ndarray, residuals: np.ndarray, converged: np.ndarray
    ) -> Solution:
        """Returns the result for vectors in the form that `Solver.project` gives them, `[k, d]`."""
        own = np.einsum("ij,ij->i", paired, projected, dtype=np.float64)
        return cls(paired, own, residuals, converged)


class Solver(Protocol):
    """A solver that is ready for an objective.

    Attributes:
      name: its name in records.
      objective: the objective whose curvature it inverts.
      curvature: name of that curvature.
      damping: number that is added to its diagonal, on top of the weight decay; both are in the
        units of the mean loss.
      at_once: number of vectors with which a call is fastest.
    """

    name: str
    objective: Objective
    curvature: str
    damping: float
    at_once: int

    def solve(self, vectors: np.ndarray) -> Solution:
        """Solves for vectors `[k, p]`."""

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Returns vectors `[k, p]` in the form `[k, d]` that is multiplied by solutions."""

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """Returns the vectors `x`, `[k, p]`, with `x @ u == paired @ project(u)` for every `u`.

        This is the transpose of `project`; if that changes nothing, neither does this.
        """


def vectors_within(objective: Objective, size: int) -> int:
    """Returns how many vectors fit in a number of bytes: from 1 to 512."""
    return int(np.clip(size // (objective.num_parameters * objective.dtype.itemsize), 1, 512))


def row_norms(vectors: np.ndarray) -> np.ndarray:
    """Returns the Euclidean norms of the rows of `[k, p]`, float64 `[k]`."""
    return np.sqrt(dots(vectors, vectors))


def dots(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Returns inner products of the rows of two `[k, p]`, summed in float64: `[k]`."""
    return np.array([np.sum(a * b, dtype=np.float64) for a, b in zip(left, right, strict=True)])


def relative(residual: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Returns the norm of each residual relative to its vector's; 0 for a vector of zeros."""
    norms = row_norms(vectors)
    return np.divide(row_norms(residual), norms, out=np.zeros(len(norms)), where=norms > 0)
