"""Self-influence and influence, from a solver.

Conventions. `H` is the curvature of the objective (mean loss, weight decay included) plus the
solver's damping, `g` the gradient of an example's cross entropy, `P` the probability of its label.

- `M_remove(z) = P g^T H^-1 g` (Zheng & Jiang 2022, eq. 2, as `grad P = -P g`): the rate at which
  `P` falls when weight is taken from the example. Never negative for positive definite `H`, which
  the Gauss-Newton matrix with damping is. The Hessian of a network that is not at a minimum is
  indefinite unless the damping outweighs its most negative eigenvalue. A solver that reaches its
  tolerance then returns what the formula says, which may be negative: along a direction of negative
  curvature the loss falls on both sides, and the quadratic model behind influence has no minimum. A
  negative score is therefore kept and counted apart from those that have not converged, but it does
  not estimate memorization.
- `M_replace(z) = P g^T H^-1 (g - g')` (eq. 4): likewise, when the weight goes to a baseline `z'`.
- `influence(z, z_test) = P_test g_test^T H^-1 g` (eq. 18 with F = P): positive where the training
  example helps.

An example has weight `1 / n` in the mean, so leaving it out lowers `P` by `M_remove / n` to first
order: what memorization is by definition (Feldman 2020), and what records hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from tfmem.influence_functions.solver import Solution, Solver
from tfmem.messages.errors import InputError

_SOLVED_BYTES = 1 << 29  # most bytes of solutions that share a pass over training examples
_NOT_KNOWN = "They are NaN."


@dataclass(frozen=True)
class Scores:
    """Self-influences, and how they were obtained.

    Attributes:
      values: float64 `[count]`; NaN where the solver has not converged.
      probabilities: float64 `[count]`, the model's probability of the label.
      residuals: float64 `[count]`, see `Solution`.
      converged: bool `[count]`, whether the solver reached its tolerance, whatever the sign.
      examples: int64 `[count]`, the indices of the training examples.
      num_train: number of examples in the objective's mean, `n`.
      solver: name of the solver.
      curvature: name of the curvature that was inverted.
      damping: number that was added to its diagonal.
    """

    values: np.ndarray
    probabilities: np.ndarray
    residuals: np.ndarray
    converged: np.ndarray
    examples: np.ndarray
    num_train: int
    solver: str
    curvature: str
    damping: float

    @property
    def memorization(self) -> np.ndarray:
        """Float64 `[count]`, how much the probability falls without the example, to first order."""
        return self.values / self.num_train

    @property
    def negative(self) -> np.ndarray:
        """Bool `[count]`, whether a score has converged and is negative."""
        return self.converged & (self.values < 0)


def remove_scores(solver: Solver, examples: np.ndarray | None = None) -> Scores:
    """`M_remove` of training examples (Zheng & Jiang 2022, eq. 2).

    Args:
      solver: ready for the objective.
      examples: which training examples; None is all.

    Returns:
      Scores; negative ones are possible where the curvature is not positive definite (see above).

    Warns:
      UserWarning: once if some have not converged, and once if some are negative.

    Raises:
      InputError: if none has converged.
    """
    found = _checked(solver, some_remove_scores(solver, _chosen(solver, examples)))
    _warn_of_negative(solver, found)
    return found


def some_remove_scores(solver: Solver, examples: np.ndarray) -> Scores:
    """Computes `M_remove` of training examples, and accepts that none has converged."""
    return _scores(solver, None, examples)


def joined(solver: Solver, parts: Sequence[Scores]) -> Scores:
    """Joins scores of different examples, in index order.

    Warns:
      UserWarning: once, if some have not converged.

    Raises:
      InputError: if none has.
    """
    order = np.argsort(np.concatenate([part.examples for part in parts]))
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts])[order]
        for name in ("values", "probabilities", "residuals", "converged", "examples")
    }
    return _checked(solver, replace(parts[0], **arrays))


def _checked(solver: Solver, found: Scores) -> Scores:
    _check_converged(solver, found.converged)
    return found


def replace_scores(solver: Solver, baselines: Any, examples: np.ndarray | None = None) -> Scores:
    """`M_replace` of training examples (Zheng & Jiang 2022, eq. 4).

    Args:
      solver: ready for the objective.
      baselines: an uninformative input for each of the examples, in the form of the model's inputs;
        it takes the example's label.
      examples: which training examples; None is all.

    Returns:
      Scores; of either sign.

    Warns:
      UserWarning: once, if some have not converged.

    Raises:
      InputError: if none has.
    """
    return _checked(solver, _scores(solver, baselines, _chosen(solver, examples)))


def influence(
    solver: Solver,
    test_inputs: Any,
    test_labels: np.ndarray,
    examples: np.ndarray | None = None,
) -> np.ndarray:
    """Computes how fast `P_test` falls as weight is taken from each training example.

    One solution for each test example serves all training examples. About 1 GB of memory is needed
    beside the result and what the solver holds.

    Args:
      solver: ready for the objective.
      test_inputs: in the form of the model's inputs.
      test_labels: classes `[tests]`.
      examples: which training examples; None is all.

    Returns:
      float64 `[examples, tests]`; NaN for a test example whose solution has not converged.

    Raises:
      InputError: if no solution has converged.
    """
    chosen = _chosen(solver, examples)
    out = np.empty((len(chosen), len(test_labels)))
    for rows, tests, values in influence_blocks(solver, test_inputs, test_labels, chosen):
        out[rows, tests] = values
    return out


def influence_blocks(
    solver: Solver,
    test_inputs: Any,
    test_labels: np.ndarray,
    examples: np.ndarray,
    failures: str = _NOT_KNOWN,
) -> Iterator[tuple[np.ndarray, slice, np.ndarray]]:
    """Influence of training on test examples, as `influence` returns it, in blocks.

    Args:
      solver: ready for the objective.
      test_inputs: in the form of the model's inputs.
      test_labels: classes `[tests]`.
      examples: which training examples.
      failures: what the warning says of test examples whose solution has not converged.

    Yields:
      Positions in `examples` `[b]`, the test examples, and `[b, tests]`.

    Raises:
      InputError: if no solution has converged.
    """
    objective = solver.objective
    order = objective.by_length(examples)
    converged: list[np.ndarray] = []
    done = 0
    for solved in _within(_solved_tests(solver, test_inputs, test_labels), _SOLVED_BYTES):
        paired = np.concatenate([part for part, _ in solved])
        converged.extend(sound for _, sound in solved)
        tests = slice(done, done + len(paired))
        start = 0
        for _, rows in objective.loss_gradients(*objective.take(examples[order])):
            yield order[start : start + len(rows)], tests, solver.project(rows) @ paired.T
            start += len(rows)
        done += len(paired)
    _check_converged(solver, np.concatenate(converged), failures)


def solved(solver: Solver, inputs: Any, labels: np.ndarray) -> tuple[Solution, np.ndarray]:
    """Solves for the gradients of some examples.

    Args:
      solver: ready for the objective.
      inputs: of examples, no more than the solver takes at once.
      labels: int64 `[k]`.

    Returns:
      `H^-1 g` of each example, and the probability `P` of its label, `[k]`.
    """
    found = list(solver.objective.loss_gradients(inputs, labels))
    solution = solver.solve(np.concatenate([rows for _, rows in found]))
    return solution, np.concatenate([probabilities for probabilities, _ in found])


def _solved_tests(
    solver: Solver, inputs: Any, labels: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields `P_test g_test^T H^-1` for `at_once` test examples at a time, and which converged."""
    for tests in _parts(np.arange(len(labels)), solver.at_once):
        some = keras.tree.map_structure(lambda a, rows=tests: np.asarray(a)[rows], inputs)
        solution, weights = solved(solver, some, labels[tests])
        weights[~solution.converged] = np.nan
        yield solution.paired * weights.astype(solution.paired.dtype)[:, None], solution.converged


def _within(
    solved: Iterable[tuple[np.ndarray, np.ndarray]], size: int
) -> Iterator[list[tuple[np.ndarray, np.ndarray]]]:
    """Groups solutions into lists of about `size` bytes; each list costs a pass over the data."""
    held: list[tuple[np.ndarray, np.ndarray]] = []
    for part in solved:
        held.append(part)
        if sum(paired.nbytes for paired, _ in held) >= size:
            yield held
            held = []
    if held:
        yield held


def _scores(solver: Solver, baselines: Any, chosen: np.ndarray) -> Scores:
    objective = solver.objective
    order = objective.by_length(chosen)
    parts = []
    for rows in _parts(order, solver.at_once):
        inputs, labels = objective.take(chosen[rows])
        solution, probabilities = solved(solver, inputs, labels)
        against = solution.own
        if baselines is not None:
            others = keras.tree.map_structure(lambda a, rows=rows: np.asarray(a)[rows], baselines)
            blocks = [block for _, block in objective.loss_gradients(others, labels)]
            others = solver.project(np.concatenate(blocks))
            against = against - np.einsum("ij,ij->i", solution.paired, others, dtype=np.float64)
        values = probabilities * against
        parts.append((values, probabilities, solution.residuals, solution.converged))
    values, probabilities, residuals, converged = (
        np.concatenate(part)[np.argsort(order)] for part in zip(*parts, strict=True)
    )
    converged &= np.isfinite(values)
    return Scores(
        np.where(converged, values, np.nan),
        probabilities,
        residuals,
        converged,
        chosen,
        len(objective.labels),
        solver.name,
        solver.curvature,
        solver.damping,
    )


def warn_of_failures(solver: Solver, converged: np.ndarray, then: str = _NOT_KNOWN) -> None:
    """Warns of the number of examples for which a solver has not converged, if there are any.

    Args:
      solver: the solver.
      converged: bool `[count]`.
      then: what becomes of these examples, in a sentence.
    """
    if failed := int((~converged).sum()):
        message = _failures(solver, failed, len(converged))
        warnings.warn(f"{message} {then}", stacklevel=3)


def _warn_of_negative(solver: Solver, found: Scores) -> None:
    if negative := int(found.negative.sum()):
        message = (
            f"solver {solver.name} ({solver.curvature}, damping {solver.damping:g}) has converged "
            f"to negative scores for {negative:,} of {len(found.values):,} examples: the curvature "
            "is not positive definite there; curvature gauss_newton is, as is any with a damping "
            "that is large enough."
        )
        warnings.warn(message, stacklevel=3)


def _check_converged(solver: Solver, converged: np.ndarray, then: str = _NOT_KNOWN) -> None:
    """Warns as `warn_of_failures` does, and refuses scores of which none has converged."""
    if len(converged) and not converged.any():
        raise InputError(_failures(solver, len(converged), len(converged)))
    warn_of_failures(solver, converged, then)


def _failures(solver: Solver, failed: int, count: int) -> str:
    return (
        f"solver {solver.name} ({solver.curvature}, damping {solver.damping:g}) has not converged "
        f"for {failed:,} of {count:,} examples: choose a larger damping, curvature gauss_newton, "
        "or another solver."
    )


def _chosen(solver: Solver, examples: np.ndarray | None) -> np.ndarray:
    return np.arange(len(solver.objective.labels)) if examples is None else np.asarray(examples)


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
