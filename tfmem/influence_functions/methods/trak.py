"""TRAK: linear models in the projected gradients of trained ones (Park et al. 2023, Sec. 3).

Of a trained model with the margin `f = log(p / (1 - p))` of the true label, `phi` is the gradient
of `f`, projected to `k` numbers, and `Phi` has those of all training examples as its rows. Logistic
regression on `phi` is attributed by a step of Newton's method, whose weights `p (1 - p)` are left
out. The score of training example `i` for test example `z` is

    mean over models of  phi(z)^T (Phi^T Phi)^-1 phi_i   times   mean over models of  1 - p_i,

eq. 17 of the paper, without its soft threshold, which
`tfmem.influence_functions.methods.sums` applies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.linalg import eigh

from tfmem.config import Config
from tfmem.influence_functions.methods.method import (
    ROWS,
    Block,
    Contribution,
    Method,
    TrainedState,
    blocks_of_tests,
    sketch_of,
    training_blocks,
)
from tfmem.influence_functions.sketch import joined_blocks
from tfmem.messages.errors import InputError

_PROJECTION = 2048
_NOTHING = 1e-9  # share of the largest eigenvalue, below which float32 gradients leave only noise


def trak(state: TrainedState, config: Config, folder: Path) -> Contribution:
    """Returns what one model contributes to the scores of TRAK.

    Args:
      state: the trained model.
      config: its section `gradient_attribution`.
      folder: receives the projected gradients, float32 `[num_train, k]`, which are deleted when
        the contribution has been read.

    Raises:
      InputError: if gradients are not finite, or are all 0, or if memory does not suffice.
    """
    objective, settings = state.objective, config.gradient_attribution
    count = len(objective.labels)
    size = settings.projection or max(1, min(_PROJECTION, count // 2))
    sketch = sketch_of(state, size)
    sketch.check_memory("gradient_attribution.projection", len(state.test_labels), square=True)
    path = folder / "features.npy"
    shape = count, sketch.size
    features = np.lib.format.open_memmap(path, "w+", np.float32, shape)
    missing = np.empty(count)

    def projected() -> Iterator[np.ndarray]:
        for chosen, inputs, labels in training_blocks(objective):
            done = 0
            for values, rows in objective.margin_gradients(inputs, labels):
                part = chosen[done : done + len(rows)]
                missing[part] = values
                features[part] = sketch.project(rows)
                yield features[part]
                done += len(rows)

    gram = np.zeros((sketch.size, sketch.size))
    for rows in joined_blocks(projected(), sketch.size // 4):
        gram += rows.T @ rows
    if not np.isfinite(gram).all() or not gram.any():
        raise InputError(
            "trak: expected finite gradients of margins that are not all 0, received others: the "
            "model has not learned, or diverged"
        )
    root = inverse_root(gram, settings.ridge)
    tests = np.empty((len(state.test_labels), sketch.size), np.float32)
    for part, inputs, labels in blocks_of_tests(state):
        found = [sketch.project(rows) for _, rows in objective.margin_gradients(inputs, labels)]
        tests[part] = (np.concatenate(found) @ root) @ root.T

    def blocks() -> Iterator[Block]:
        for start in range(0, count, ROWS):
            part = np.arange(start, min(start + ROWS, count))
            yield Block(part, slice(0, len(tests)), features[part] @ tests.T)
        path.unlink()

    return Contribution(blocks(), missing)


def inverse_root(gram: np.ndarray, ridge: float) -> np.ndarray:
    """Returns a matrix `R`, for which `R R^T` is the inverse of a Gram matrix.

    Args:
      gram: float64 `[k, k]`.
      ridge: what is added to the diagonal, as a share of its mean. Directions whose eigenvalue is
        then at most 1e-9 of the largest are left out, as in a pseudoinverse.

    Returns:
      float64 `[k, rank]`.
    """
    values, vectors = eigh(gram)
    values = values + ridge * np.trace(gram) / len(gram)
    kept = values > _NOTHING * values[-1]
    root: np.ndarray = vectors[:, kept] / np.sqrt(values[kept])
    return root


TRAK = Method(
    name="trak",
    source="Park et al. (2023), Sec. 3",
    checkpoints=False,
    passes=1,
    contribution=trak,
)
