"""Conjugate gradients, for many right-hand sides at once."""

from __future__ import annotations

import numpy as np

from tfmem.influence_functions.objective import Curvature, Objective
from tfmem.influence_functions.solver import (
    DAMPING,
    Solution,
    dots,
    relative,
    vectors_within,
)


class ConjugateGradients:
    """Solves to a tolerance with products only (Hestenes & Stiefel 1952); see `Solver`.

    The right-hand sides are independent of each other, but one pass over the data serves all of
    them. A direction along which the curvature is not positive ends its right-hand side, which then
    has not converged: the Hessian of a network has such directions unless the damping outweighs
    them; its Gauss-Newton matrix has none.
    """

    name = "cg"

    def __init__(
        self,
        objective: Objective,
        damping: float = DAMPING,
        curvature: Curvature = "gauss_newton",
        tolerance: float = 1e-5,
        steps: int = 1000,
    ) -> None:
        """Sets when to stop.

        Args:
          objective: the objective whose curvature is inverted.
          damping: see `Solver`.
          curvature: which curvature is inverted.
          tolerance: largest relative residual of a solution; the residual is computed anew at the
            end, because the one that the recursion carries drifts.
          steps: largest number of products for a right-hand side.
        """
        self.objective = objective
        self.damping = damping
        self.curvature: str = curvature
        self.at_once = vectors_within(objective, 1 << 30)
        self._kind: Curvature = curvature
        self._tolerance = tolerance
        self._steps = steps

    def solve(self, vectors: np.ndarray) -> Solution:
        """See `Solver.solve`."""
        x = np.zeros_like(vectors)
        residual = vectors.copy()
        residuals = relative(residual, vectors)
        usable = np.isfinite(residuals)
        left = self._steps
        while left > 0:
            rows = np.flatnonzero(usable & (residuals > self._tolerance))
            if not len(rows):
                break
            moved, sound, taken = self._descend(residual[rows], vectors[rows], left)
            left -= taken + 1
            x[rows] += moved
            usable[rows] = sound
            residual[rows] = vectors[rows] - self._product(x[rows])
            residuals = relative(residual, vectors)
        return Solution.of(x, vectors, residuals, usable & (residuals <= self._tolerance))

    def _descend(
        self, b: np.ndarray, vectors: np.ndarray, steps: int
    ) -> tuple[np.ndarray, np.ndarray, int]:
        """Solves for `b` until the residuals that the recursion carries are small beside `vectors`.

        Returns:
          The solutions; a mask of those that met no direction of negative curvature; the number of
          steps.
        """
        x, residual, direction = np.zeros_like(b), b.copy(), b.copy()
        squares = dots(b, b)
        goals = (self._tolerance / 2) ** 2 * dots(vectors, vectors)
        sound = np.ones(len(b), bool)
        step = 0
        while step < steps and len(rows := np.flatnonzero(sound & (squares > goals))):
            step += 1
            d = direction[rows]
            product = self._product(d)
            curvature = dots(d, product)
            sound[rows] = curvature > 0
            alpha = np.divide(
                squares[rows], curvature, out=np.zeros(len(rows)), where=curvature > 0
            )
            alpha = alpha.astype(b.dtype)[:, None]
            x[rows] += alpha * d
            residual[rows] -= alpha * product
            new = dots(residual[rows], residual[rows])
            direction[rows] = residual[rows] + (new / squares[rows]).astype(b.dtype)[:, None] * d
            squares[rows] = new
        return x, sound, step

    def _product(self, vectors: np.ndarray) -> np.ndarray:
        return self.objective.product(vectors, self._kind) + self.damping * vectors

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """See `Solver.project`."""
        return vectors

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """See `Solver.lift`."""
        return paired
