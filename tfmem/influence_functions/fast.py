"""All examples at once: sketched gradients and one factorisation of their Gauss-Newton matrix.

With rows `D` such that the curvature is `D^T D + R`, `R` diagonal (weight decay and damping),
everything asked of its inverse depends on inner products of vectors scaled by `R^-1/2` alone. A
sketch to `k` numbers keeps inner products up to `1/sqrt(k)` of the lengths, whatever the network
(Johnson & Lindenstrauss 1984), so the inverse of one `k x k` matrix serves all examples. That is
TRAK (Park et al. 2023) with the true Gauss-Newton matrix; LoGra (Choe et al. 2024) sketches layer
by layer from both sides, for which few directions remain of a gradient of rank one, and EK-FAC
(George et al. 2018; Grosse et al. 2023) takes layers and their inputs and outputs as independent.
The sketch is that of `tfmem.influence_functions.sketch`.

Inverting in the sketch is like inverting with a larger ridge: `S^T (S A S^T + t)^-1 S` is close to
`(A + r)^-1` with `t = r (1 - d / k)`, `d` the trace of `A (A + r)^-1` (LeJeune et al. 2024). As `r`
is to be 1, `t` is `1 - d / k`; with 1, values would be too small by a share of up to `d / k`.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve, eigvalsh
from scipy.optimize import brentq

from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.sketch import Sketch, joined_blocks
from tfmem.influence_functions.solver import DAMPING, Solution, vectors_within
from tfmem.messages.errors import InputError

_ROWS = 9  # most exact rows of an example; with more than ten classes, labels are drawn
_LEAST_KEPT = 0.25  # here values scatter by 4%, and ranks have not suffered


class FastSolver:
    """Pairs vectors in the sketch; see `Solver`.

    With fewer parameters than `size` nothing is sketched and the result is exact.

    Attributes:
      effective_dimension: trace of `G (G + R)^-1`, `G = D^T D`, an estimate from the sketch. The
        sketch serves as long as it is below `size`.
    """

    name = "fast"

    def __init__(
        self, objective: Objective, damping: float = DAMPING, size: int = 2048, seed: int = 0
    ) -> None:
        """Makes one pass over the training examples, and factors.

        Args:
          objective: the objective whose curvature, in its Gauss-Newton form, is inverted.
          damping: see `Solver`; with parameters that have no weight decay it must be above 0.
          size: numbers `k` in the sketch of a gradient.
          seed: seed of the sketch.

        Raises:
          InputError: if damping and weight decay leave a parameter without either, or so little
            that the sketch would have more than three quarters of its dimensions in use; or if
            memory does not suffice for the sketch.
        """
        self.objective = objective
        self.damping = damping
        self.at_once = vectors_within(objective, 1 << 28)
        ridge = objective.decay.astype(np.float64) + damping
        if ridge.min() <= 0:
            raise InputError(
                f"solver fast: expected a damping above 0 for parameters without weight decay, "
                f"received {damping:g}"
            )
        count = objective.num_parameters
        self._sketch = Sketch(count, size, seed, 1 / np.sqrt(ridge))
        self._sketch.check_memory("self_influence.sketch", self.at_once, square=True)
        self._size = self._sketch.size
        sampled = objective.num_classes - 1 > _ROWS
        self.curvature = "gauss_newton"
        if sampled:
            self.curvature += f", {_ROWS} labels drawn an example"
        if self._sketch.is_shorter:
            self.curvature += f", sketched to {size} of {count}"
        gram = np.zeros((self._size, self._size))
        sketched = (self.project(rows) for rows in objective.curvature_rows(_ROWS, seed))
        for rows in joined_blocks(sketched, self._size // 4):
            gram += rows.T @ rows
        eigenvalues = eigvalsh(gram).clip(0)
        kept = 1.0
        if self._sketch.is_shorter:
            kept = self._kept(eigenvalues)
        self.effective_dimension = float(np.sum(eigenvalues / (eigenvalues + kept)))
        gram[np.diag_indices(self._size)] += kept
        try:
            self._factor = cho_factor(gram, lower=True, overwrite_a=True)
        except LinAlgError:
            raise InputError(
                f"solver fast: damping {damping:g} is too small beside the curvature"
            ) from None

    def _kept(self, eigenvalues: np.ndarray) -> float:
        """Returns the sketch's ridge that acts like 1 outside: `1 - effective_dimension / size`."""

        def excess(ridge: float) -> float:
            return float(np.mean(1 / (eigenvalues + ridge))) - 1

        if excess(_LEAST_KEPT) < 0:
            most = (1 - _LEAST_KEPT) * self._size
            raise InputError(
                f"solver fast: damping {self.damping:g} leaves more than {most:.0f} effective "
                f"dimensions, too many for a sketch of {self._size}: choose a larger damping or "
                "sketch"
            )
        return float(brentq(excess, _LEAST_KEPT, 1.0))

    def solve(self, vectors: np.ndarray) -> Solution:
        """See `Solver.solve`; residuals are NaN, because nothing is iterated."""
        projected = self.project(vectors)
        paired: np.ndarray = cho_solve(self._factor, projected.T.astype(np.float64)).T
        nothing = np.full(len(vectors), np.nan)
        return Solution.of(paired, projected, nothing, np.isfinite(paired).all(axis=1))

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """See `Solver.project`."""
        return self._sketch.project(vectors)

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """See `Solver.lift`."""
        return self._sketch.lift(paired)
