"""Self-influence some examples at a time, so that what was stopped continues."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import numpy as np

from tfmem.predictions import complete_file
from tfmem.self_influence.scores import Scores, joined, some_remove_scores
from tfmem.self_influence.solver import Solver

_AT_ONCE = 512  # examples, or as many as the solver takes at once if those are more


def kept_scores(solver: Solver, folder: Path, after_each: Callable[[int], None]) -> Scores:
    """`M_remove` of all training examples, as `remove_scores` has it.

    Args:
      solver: ready for the objective.
      folder: what is known already is taken from there, and what is found is kept there until all
        is; it must be of the same solver, model and data.
      after_each: told after some more examples how many they were.

    Raises:
      InputError: if no example has converged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, examples in enumerate(_chunks(solver)):
        path = folder / f"scores-{number:05d}.npz"
        part = _read(path)
        if part is None:
            part = some_remove_scores(solver, examples)
            with complete_file(path) as file:
                np.savez(file, **vars(part))
        parts.append(part)
        after_each(len(examples))
    found = joined(solver, parts)
    shutil.rmtree(folder)
    return found


def _chunks(solver: Solver) -> Iterator[np.ndarray]:
    """Examples of like length together."""
    order = solver.objective.by_length(np.arange(len(solver.objective.labels)))
    size = max(solver.at_once, _AT_ONCE // solver.at_once * solver.at_once)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _read(path: Path) -> Scores | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            values = {field.name: kept[field.name] for field in fields(Scores)}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):  # nothing, or nothing whole
        return None
    return Scores(**{name: a if a.ndim else a.item() for name, a in values.items()})
