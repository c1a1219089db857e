"""Makes the solver that settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfmem.config import SelfInfluenceSettings
from tfmem.influence_functions.cg import ConjugateGradients
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.lissa import Lissa
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.solver import Solver

SOLVERS: dict[str, Callable[..., Solver]] = {
    "fast": FastSolver,
    "cg": ConjugateGradients,
    "exact": ExactSolver,
    "lissa": Lissa,
}


def make_solver(settings: SelfInfluenceSettings, objective: Objective) -> Solver:
    """Makes the configured solver for an objective.

    Args:
      settings: the name of the solver, and what is set of damping, curvature and sketch size.
      objective: the objective whose curvature it inverts.

    Raises:
      InputError: if the solver cannot be used with the objective.
    """
    options: dict[str, Any] = {"damping": settings.damping, "size": settings.sketch}
    if settings.solver != "fast":
        options = {"damping": settings.damping, "curvature": settings.curvature}
    chosen = {name: value for name, value in options.items() if value is not None}
    return SOLVERS[settings.solver](objective, **chosen)
