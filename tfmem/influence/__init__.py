"""Influence functions and attribution of one trained model.

This room is given the model: it trains none, and knows no trials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tfmem.config import SelfInfluenceSettings
from tfmem.influence.cg import ConjugateGradients
from tfmem.influence.exact import ExactSolver
from tfmem.influence.fast import FastSolver
from tfmem.influence.lissa import Lissa
from tfmem.influence.objective import Objective
from tfmem.influence.scores import Scores, influence, remove_scores, replace_scores
from tfmem.influence.solver import Solver

__all__ = [
    "SOLVERS",
    "ConjugateGradients",
    "ExactSolver",
    "FastSolver",
    "Lissa",
    "Objective",
    "Scores",
    "Solver",
    "influence",
    "make_solver",
    "remove_scores",
    "replace_scores",
]

SOLVERS: dict[str, Callable[..., Solver]] = {
    "fast": FastSolver,
    "cg": ConjugateGradients,
    "exact": ExactSolver,
    "lissa": Lissa,
}


def make_solver(settings: SelfInfluenceSettings, objective: Objective) -> Solver:
    """The solver that is configured, for an objective.

    Args:
      settings: names the solver; damping, curvature and size of the sketch where they are set.
      objective: whose curvature it inverts.

    Raises:
      InputError: if the solver does not go with the objective.
    """
    options: dict[str, Any] = {"damping": settings.damping, "size": settings.sketch}
    if settings.solver != "fast":
        options = {"damping": settings.damping, "curvature": settings.curvature}
    chosen = {name: value for name, value in options.items() if value is not None}
    return SOLVERS[settings.solver](objective, **chosen)
