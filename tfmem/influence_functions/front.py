"""Memorization of the examples that one trained model was trained on, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from tfmem.config import SelfInfluenceSettings
from tfmem.config.steps import SolverName
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import remove_scores
from tfmem.influence_functions.solvers import make_solver
from tfmem.messages.errors import InputError


def self_influence(
    model: keras.Model,
    inputs: Any,
    labels: Any,
    *,
    weight_decay: float = 0.0,
    solver: SolverName = "fast",
    damping: float | None = None,
    variables: Sequence[keras.Variable] | None = None,
    examples: np.ndarray | None = None,
) -> pd.DataFrame:
    """Estimates how much one trained model memorized its training examples.

    It is how much the probability that the model gives an example's label falls, to first order,
    when the example is left out of training (Zheng & Jiang 2022, eq. 2): an influence function, for
    which no other model is trained.

        model.fit(x_train, y_train)
        table = tfmem.self_influence(model, x_train, y_train)
        table.nlargest(10, "memorization")

    Args:
      model: a trained classifier. It returns logits `[batch, classes]`, or probabilities if its
        last layer is a softmax or its loss has `from_logits=False`; then the softmax is left out,
        or logarithms are taken, so that none is applied twice.
      inputs: all examples that it was trained on, as the model takes them: an array `[n, ...]`, or
        a tuple, list or dict of them.
      labels: `[n]` classes from 0, or one-hot `[n, classes]`.
      weight_decay: coefficient of the L2 penalty in the loss, `weight_decay / 2` times the sum of
        squares of kernels; 0 if there is none.
      solver: `fast` inverts the curvature in a sketch; `cg`, `exact` and `lissa` are slower.
      damping: number added to the diagonal of the curvature; None is the solver's own.
      variables: the variables that were trained; None is all trainable ones. Those of the last
        layers alone take less time and memory.
      examples: int64, the examples to estimate; None is all.

    Returns:
      One row for each example, by `index`: `memorization`, the self-influence divided by `n`, the
      number of training examples, because the objective is a mean in which each example has weight
      `1 / n`; `self_influence`, the same before that division; `label_probability`, the probability
      that the model gives the label; and `residual`, the solver's relative residual. Values whose
      solution has not converged are NaN.

    Raises:
      InputError: if arrays differ in length, a label has no output, outputs are probabilities and
        the model does not show it, or no solution has converged.
    """
    classes = np.asarray(labels)
    if classes.ndim == 2 and classes.shape[1] > 1:
        classes = classes.argmax(axis=1)
    classes = classes.reshape(len(classes), -1)
    if classes.shape[1] != 1 or (classes != np.round(classes)).any():
        raise InputError(f"labels: expected classes [n], received {list(np.shape(labels))}")
    objective = Objective(model, inputs, classes[:, 0].astype(np.int64), variables, weight_decay)
    settings = SelfInfluenceSettings(solver=solver, damping=damping)
    found = remove_scores(make_solver(settings, objective), examples)
    return pd.DataFrame(
        {
            "memorization": found.memorization,
            "self_influence": found.values,
            "label_probability": found.probabilities,
            "residual": found.residuals,
        },
        index=pd.Index(found.examples, name="index"),
    )
