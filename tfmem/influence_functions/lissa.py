"""LiSSA, as Koh & Liang (2017) and Zheng & Jiang (2022) use it."""

from __future__ import annotations

import numpy as np

from tfmem.influence_functions.objective import Curvature, Objective
from tfmem.influence_functions.solver import Solution, relative, vectors_within

PAPER_DAMPING = 50.0  # their 5e-3 is added to the curvature divided by 1e4
_CHECKED = 512  # number of examples on which residuals are computed


class Lissa:
    """A stochastic Neumann series (Agarwal et al. 2017); see `Solver`.

    Each step draws examples and sets `h` to `v + (I - (H + damping) / scale) h`; `h / scale`
    approaches the solution, at a rate of `damping / scale` a step at worst. Papers write the
    recursion with `damping / scale` as their damping: the 5e-3 of Zheng & Jiang, at scale 1e4, is
    50 here, far above the curvature of most networks, so that their scores are close to
    `P |g|^2 / 50`. The defaults are theirs. All right-hand sides share the examples that are drawn.
    """

    name = "lissa"

    def __init__(
        self,
        objective: Objective,
        damping: float = PAPER_DAMPING,
        curvature: Curvature = "hessian",
        scale: float = 1e4,
        steps: int = 1002,
        batch_size: int = 1,
        tolerance: float = 0.05,
        seed: int = 0,
    ) -> None:
        """Sets the recursion.

        Args:
          objective: the objective whose curvature is inverted.
          damping: see `Solver`.
          curvature: which curvature is inverted.
          scale: a number above the largest eigenvalue of the curvature of any batch; below it, the
            recursion diverges.
          steps: number of steps.
          batch_size: number of examples that a step draws.
          tolerance: largest relative residual of a solution, which is computed at the end on up to
            512 examples.
          seed: seed of the draws.
        """
        self.objective = objective
        self.damping = damping
        self.curvature = f"{curvature}, batches of {batch_size}"
        self.at_once = vectors_within(objective, 1 << 26)
        self._kind: Curvature = curvature
        self._scale = scale
        self._steps = steps
        self._batch_size = batch_size
        self._tolerance = tolerance
        self._seed = seed

    def solve(self, vectors: np.ndarray) -> Solution:
        """See `Solver.solve`."""
        rng = np.random.default_rng(self._seed)
        h = vectors.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            for _ in range(self._steps):
                drawn = rng.choice(self.objective.curvature_examples, self._batch_size)
                h = vectors + h - self._product(h, drawn) / self._scale
            solved = h / self._scale
            examples = self.objective.curvature_examples
            checked = rng.permutation(examples)[:_CHECKED]
            residuals = relative(self._product(solved, checked) - vectors, vectors)
        return Solution.of(solved, vectors, residuals, residuals <= self._tolerance)

    def _product(self, vectors: np.ndarray, examples: np.ndarray) -> np.ndarray:
        return self.objective.product(vectors, self._kind, examples) + self.damping * vectors

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """See `Solver.project`."""
        return vectors

    def lift(self, paired: np.ndarray) -> np.ndarray:
        """See `Solver.lift`."""
        return paired
