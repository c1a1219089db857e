"""Factors the curvature by Cholesky, in the space of parameters or, if smaller, of examples."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from tfmem.influence_functions.objective import Curvature, Objective, holdable_bytes
from tfmem.influence_functions.solver import DAMPING, Solution, relative, vectors_within
from tfmem.messages.errors import InputError

_LARGEST = 12_000  # side of a matrix, of which two with 1.2 GB each are held
_RESIDUAL = 1e-6  # far above the residual that Cholesky leaves in a well-posed problem
_RESIDUAL_BY_ROWS = 1e-4  # rows come from float32


class ExactSolver:
    """Solves to rounding; see `Solver`.

    The curvature of `p` parameters is a `p x p` matrix. Where that is too large, its Gauss-Newton
    form `R + D^T D`, with `m` rows `D`, is inverted through the `m x m` matrix
    `I + D R^-1 D^T` (Woodbury): this needs few enough
    rows, one less than there are classes for each example, but allows a network of any size.
    """

    name = "exact"

    def __init__(
        self, objective: Objective, damping: float = DAMPING, curvature: Curvature = "gauss_newton"
    ) -> None:
        """Assembles the matrix, in float64, and factors it.

        Args:
          objective: the objective whose curvature is inverted.
          damping: see `Solver`.
          curvature: which curvature is inverted.

        Raises:
          InputError: if there are too many parameters, and rows; or the curvature is not positive
            definite.
        """
        count = objective.num_parameters
        rows = len(objective.curvature_examples) * (objective.num_classes - 1)
        self.objective = objective
        self.curvature: str = curvature
        self.damping = damping
        self.at_once = vectors_within(objective, 1 << 28)
        if count <= _LARGEST:
            self._system: _Parameters | _Rows = _Parameters(objective, damping, curvature)
        elif curvature == "gauss_newton" and rows <= _LARGEST:
            self.at_once = vectors_within(objective, 1 << 30)
            self._system = _Rows(objective, damping, rows)
        else:
            raise InputError(
                f"solver exact: expected at most {_LARGEST:,} parameters, or rows of the "
                f"Gauss-Newton matrix, received {count:,} and {rows:,} ({curvature}); take fewer "
                "layers, fewer examples for the curvature, or another solver"
            )

    def solve(self, vectors: np.ndarray) -> Solution:
        """See `Solver.solve`."""
        return self._system.solve(vectors)

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """See `Solver.project`."""
        return vectors

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """See `Solver.lift`."""
        return paired


class _Parameters:
    """Holds the whole matrix `H + damping`."""

    def __init__(self, objective: Objective, damping: float, curvature: Curvature) -> None:
        count = objective.num_parameters
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
        self._factor = _factored(matrix, curvature, damping)

    def solve(self, vectors: np.ndarray) -> Solution:
        vectors = vectors.astype(np.float64)
        solved = cho_solve(self._factor, vectors.T).T
        residuals = relative(solved @ self._matrix - vectors, vectors)
        return Solution.of(solved, vectors, residuals, residuals <= _RESIDUAL)


class _Rows:
    """Holds `I + D R^-1 D^T`; `(R + D^T D)^-1` is `R^-1 - R^-1 D^T (I + D R^-1 D^T)^-1 D R^-1`."""

    def __init__(self, objective: Objective, damping: float, count: int) -> None:
        self._objective = objective
        self._damping = damping
        ridge = objective.decay + objective.dtype.type(damping)
        if ridge.min() <= 0:
            raise InputError(
                f"solver exact: expected a damping above 0 for parameters without weight decay, "
                f"received {damping:g}"
            )
        self._inverse_ridge = 1 / ridge
        root = np.sqrt(self._inverse_ridge)
        matrix = np.eye(count)
        for start, held, others in self._pairs(count):
            held *= root
            end = start + len(held)
            matrix[start:end, start:end] += held @ held.T
            for rows in others:
                part = slice(end, end + len(rows))
                matrix[part, start : start + len(held)] = (rows * root) @ held.T
                end += len(rows)
        self._factor = _factored(matrix, "gauss_newton", damping)

    def _pairs(self, count: int) -> Iterator[tuple[int, np.ndarray, Iterator[np.ndarray]]]:
        """Yields `start`, the rows from there that fit in memory, and the later ones in blocks."""
        size, dtype = self._objective.num_parameters, self._objective.dtype
        most = max(1, holdable_bytes() // (size * dtype.itemsize))
        for start in range(0, count, most):
            held = np.empty((min(most, count - start), size), dtype)
            filled = 0
            for rows in self._objective.curvature_rows(first=start, last=start + len(held)):
                held[filled : filled + len(rows)] = rows
                filled += len(rows)
            yield start, held, self._objective.curvature_rows(first=start + len(held))

    def solve(self, vectors: np.ndarray) -> Solution:
        solved, residuals = np.zeros_like(vectors), np.ones(len(vectors))
        left = vectors.copy()
        for _ in range(2):  # the second pass solves for the residual that float32 rows leave
            rows = np.flatnonzero(residuals > _RESIDUAL_BY_ROWS)
            if not len(rows):
                break
            solved[rows] += self._apply(left[rows])
            product = self._objective.product(solved[rows], "gauss_newton")
            left[rows] = vectors[rows] - product - self._damping * solved[rows]
            residuals[rows] = relative(left[rows], vectors[rows])
        return Solution.of(solved, vectors, residuals, residuals <= _RESIDUAL_BY_ROWS)

    def _apply(self, vectors: np.ndarray) -> np.ndarray:
        scaled = vectors * self._inverse_ridge
        seen = np.concatenate([rows @ scaled.T for rows in self._objective.curvature_rows()])
        weights = cho_solve(self._factor, seen.astype(np.float64)).T.astype(vectors.dtype)
        solved = vectors.copy()
        start = 0
        for rows in self._objective.curvature_rows():
            solved -= weights[:, start : start + len(rows)] @ rows
            start += len(rows)
        return solved * self._inverse_ridge


def _factored(matrix: np.ndarray, curvature: str, damping: float) -> tuple[np.ndarray, bool]:
    try:
        return cho_factor(matrix, lower=True)
    except LinAlgError:
        raise InputError(
            f"solver exact: the {curvature} curvature with damping {damping:g} is not positive "
            "definite: choose a larger damping"
        ) from None
