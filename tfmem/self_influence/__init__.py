"""Memorization of one model's training examples by influence functions, on what was trained."""

from __future__ import annotations

from collections.abc import Callable

from tfmem.self_influence.cg import ConjugateGradients
from tfmem.self_influence.exact import ExactSolver
from tfmem.self_influence.fast import FastSolver
from tfmem.self_influence.lissa import Lissa
from tfmem.self_influence.objective import Objective
from tfmem.self_influence.scores import Scores, influence, remove_scores, replace_scores
from tfmem.self_influence.solver import Solver

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
