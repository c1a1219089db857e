"""Computes the influence of training examples on test examples in one model."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfmem.datasets import Dataset
from tfmem.influence_functions.scores import influence
from tfmem.influence_functions.solver import Solver
from tfmem.store.pairs import ModelInfluence

_BLOCK = 1 << 25  # influences that are held at once


def test_effects(solver: Solver, arrays: Dataset, examples: np.ndarray) -> Iterator[ModelInfluence]:
    """Computes the influence of training examples on all test examples in one model.

    Args:
      solver: a solver that is ready for the model's objective.
      arrays: the examples as the model takes them.
      examples: indices of the training examples, int64.

    Yields:
      Blocks of test examples, in order.

    Raises:
      InputError: if the solver has converged for no test example of a block.
    """
    objective, labels = solver.objective, arrays.test_labels
    size = max(1, _BLOCK // max(1, len(examples)))
    for start in range(0, len(labels), size):
        tests = np.arange(start, min(start + size, len(labels)))
        inputs = arrays.test_images[tests].astype(np.float32) / arrays.white
        values = np.zeros((0, len(tests)))
        if len(examples):
            values = influence(solver, inputs, labels[tests], examples) / len(objective.labels)
        right = objective.probabilities(inputs).argmax(axis=1) == labels[tests]
        yield ModelInfluence(tests, right, values)
