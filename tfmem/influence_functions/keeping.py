"""Computes self-influence for some examples at a time, so that a stopped command continues."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from tfmem.influence_functions.scores import Scores, joined, some_remove_scores
from tfmem.influence_functions.solver import Solver
from tfmem.messages.errors import InputError
from tfmem.store.files import complete_file
from tfmem.store.npz import NpzFile, write_npz

_AT_ONCE = 512  # most examples that are kept at a time, unless the solver takes more at once


@dataclass(frozen=True)
class Solved:
    """Scores, and the time that they took.

    Attributes:
      scores: scores of all training examples, in index order.
      seconds: elapsed seconds of all calls together.
      cpu_seconds: processor seconds of all cores and calls together.
    """

    scores: Scores
    seconds: float
    cpu_seconds: float


def kept_scores(
    solver: Solver, about: bytes, folder: Path, after_each: Callable[[int], None]
) -> Solved:
    """Computes `M_remove` of all training examples, as `remove_scores` does, and keeps each part.

    Args:
      solver: a solver that is ready for the objective.
      about: describes the data and the training of the model; parts of others are not used.
      folder: keeps the scores of some examples until all are known; scores of another solver, model
        or version of the code are deleted.
      after_each: is told the number of examples after each part.

    Raises:
      InputError: if no example has converged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{_identity(solver, about)}-{number:05d}.npz" for number in range(_count(solver))]
    for other in folder.iterdir():
        if other.name not in names:
            other.unlink()
    parts = []
    for name, examples in zip(names, _chunks(solver), strict=True):
        part = _read(folder / name)
        if part is None:
            clock, work = time.perf_counter(), time.process_time()
            scores = some_remove_scores(solver, examples)
            part = Solved(scores, time.perf_counter() - clock, time.process_time() - work)
            _write(part, folder / name)
        parts.append(part)
        after_each(len(examples))
    scores = joined(solver, [part.scores for part in parts])
    shutil.rmtree(folder)
    return Solved(
        scores, sum(part.seconds for part in parts), sum(part.cpu_seconds for part in parts)
    )


def _identity(solver: Solver, about: bytes) -> str:
    said = f"{solver.name} {solver.curvature} {solver.damping!r} {solver.at_once}".encode()
    code = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))]
    examples = solver.objective.curvature_examples.tobytes()
    found = hashlib.sha256(b"\0".join([said, about, examples, *code]))
    for value in solver.objective.function.values:  # shapes and types differ between layers
        found.update(str(value.shape).encode() + value.numpy().tobytes())
    return found.hexdigest()[:16]


def _count(solver: Solver) -> int:
    return sum(1 for _ in _chunks(solver))


def _chunks(solver: Solver) -> Iterator[np.ndarray]:
    """Groups examples of similar length."""
    order = solver.objective.by_length(np.arange(len(solver.objective.labels)))
    size = max(solver.at_once, _AT_ONCE // solver.at_once * solver.at_once)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _write(part: Solved, path: Path) -> None:
    with complete_file(path) as file:
        took = {"seconds": part.seconds, "cpu_seconds": part.cpu_seconds}
        write_npz(file, {**took, **vars(part.scores)})


def _read(path: Path) -> Solved | None:
    try:
        with NpzFile(path) as kept:
            scores: dict[str, Any] = {f.name: kept.array(f.name) for f in fields(Scores)}
            took = [float(kept.array(name, "f", ())) for name in ("seconds", "cpu_seconds")]
    except InputError:  # no complete set is there
        return None
    return Solved(Scores(**{name: a if a.ndim else a.item() for name, a in scores.items()}), *took)
