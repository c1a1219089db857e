"""Memorization of one model's training examples by influence functions, on what was trained."""

from __future__ import annotations

from collections.abc import Callable

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
    "influence",
    "remove_scores",
    "replace_scores",
]

SOLVERS: dict[str, Callable[..., Solver]] = {
    "fast": FastSolver,
    "cg": ConjugateGradients,
    "exact": ExactSolver,
    "lissa": Lissa,
}
