"""The curvature in full, and its Cholesky factor: for heads of a few thousand parameters."""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from tfmem.errors import InputError
from tfmem.self_influence.objective import Curvature, Objective
from tfmem.self_influence.solver import DAMPING, Solution, relative, vectors_within

_MOST_PARAMETERS = 12_000  # two matrices of 1.2 GB
_RESIDUAL = 1e-6  # what Cholesky leaves of a well-posed problem is far below


class ExactSolver:
    """Solves to rounding; see `Solver`."""

    name = "exact"

    def __init__(
        self, objective: Objective, damping: float = DAMPING, curvature: Curvature = "gauss_newton"
    ) -> None:
        """Assembles the curvature, in float64, and factors it.

        Raises:
          InputError: if there are too many parameters, or it is not positive definite.
        """
        count = objective.num_parameters
        if count > _MOST_PARAMETERS:
            raise InputError(
                f"solver exact: expected at most {_MOST_PARAMETERS:,} parameters, received "
                f"{count:,}; take fewer layers, or another solver"
            )
        self.objective = objective
        self.curvature: str = curvature
        self.damping = damping
        self.at_once = vectors_within(objective, 1 << 28)
        if curvature == "gauss_newton":
            matrix = np.diag(objective.decay.astype(np.float64))
            for rows in objective.curvature_rows():
                rows = rows.astype(np.float64)
                matrix += rows.T @ rows
        else:
            every = np.eye(count, dtype=objective.dtype)
            parts = np.array_split(every, -(-count // 256))
            matrix = np.concatenate([objective.product(part, curvature) for part in parts])
            matrix = (matrix + matrix.T).astype(np.float64) / 2
        matrix[np.diag_indices(count)] += damping
        self._matrix = matrix
        try:
            self._factor = cho_factor(matrix)
        except LinAlgError:
            raise InputError(
                f"solver exact: the {curvature} curvature with damping {damping:g} is not positive "
                "definite: choose a larger damping"
            ) from None

    def solve(self, vectors: np.ndarray) -> Solution:
        """See `Solver.solve`."""
        vectors = vectors.astype(np.float64)
        solved = cho_solve(self._factor, vectors.T).T
        residuals = relative(solved @ self._matrix - vectors, vectors)
        return Solution(solved, residuals, residuals <= _RESIDUAL)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """See `Solver.project`."""
        return vectors

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """See `Solver.lift`."""
        return paired
