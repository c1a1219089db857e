"""What training examples do to test examples, by one model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.influence.scores import influence
from tfmem.influence.trained import in_memory, kept_solver
from tfmem.store.pairs import ModelInfluence

_BLOCK = 1 << 25  # influences that are held at once


def test_effects(
    config: Config, dataset: AnyDataset, kept: Path, examples: np.ndarray
) -> Iterator[ModelInfluence]:
    """Influence on all test examples, by the model and the solver that self-influence is from.

    Args:
      config: what it was made with.
      dataset: the examples as they are loaded.
      kept: the folder of its records, beside that of the models.
      examples: which training examples.

    Yields:
      Blocks of test examples, in order.

    Raises:
      InputError: if the solver has converged for no test example of a block.
    """
    solver, arrays = kept_solver(config, dataset, kept), in_memory(config, dataset)
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
