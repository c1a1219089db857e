"""The parts of a method: the contribution of one trained model, or checkpoint, to the scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmem.config import Config, MethodName
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.sketch import Sketch

ROWS = 512  # training examples whose scores are made at a time


@dataclass(frozen=True)
class TrainedState:
    """A model as it was after an epoch, and the examples that predictions are attributed to.

    Attributes:
      objective: its objective, which has the training examples.
      tests: inputs of the test examples.
      test_labels: int64 `[num_test]`.
      rate: mean learning rate of the steps since the checkpoint before.
      number: number of the model, from 0.
    """

    objective: Objective
    tests: Any
    test_labels: np.ndarray
    rate: float
    number: int


@dataclass(frozen=True)
class Block:
    """Some scores that a model contributes.

    Attributes:
      train: int64 `[b]`, the training examples.
      tests: the test examples.
      values: float `[b, tests]`, positive where the training example helps.
    """

    train: np.ndarray
    tests: slice
    values: np.ndarray


@dataclass(frozen=True)
class Contribution:
    """What one model contributes.

    Attributes:
      blocks: all scores, each once, in any order.
      weights: float64 `[num_train]`, factors of the training examples, whose mean over models is
        taken apart from that of the scores; None if the method has none.
    """

    blocks: Iterable[Block]
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class Method:
    """The declaration of a method.

    Attributes:
      name: the method's name.
      source: the publication that describes it.
      checkpoints: whether it sums over checkpoints of one training, rather than averaging over
        models.
      passes: passes over the training examples for each model or checkpoint.
      contribution: returns what a model contributes, given settings and a folder to work in.
    """

    name: MethodName
    source: str
    checkpoints: bool
    passes: int
    contribution: Callable[[TrainedState, Config, Path], Contribution]


def sketch_of(state: TrainedState, size: int) -> Sketch:
    """Returns the projection of a model's gradients, which is independent of other models'."""
    seed = np.random.SeedSequence(0, spawn_key=(state.number,)).generate_state(1)[0]
    return Sketch(state.objective.num_parameters, size, int(seed))


def training_blocks(objective: Objective) -> Iterator[tuple[np.ndarray, Any, np.ndarray]]:
    """Yields indices, inputs and labels of training examples, sorted by their length."""
    order = objective.by_length(np.arange(len(objective.labels)))
    for start in range(0, len(order), ROWS):
        chosen = order[start : start + ROWS]
        yield chosen, *objective.take(chosen)


def blocks_of_tests(state: TrainedState) -> Iterator[tuple[slice, Any, np.ndarray]]:
    """Yields places, inputs and labels of test examples."""
    for start in range(0, len(state.test_labels), ROWS):
        part = slice(start, min(start + ROWS, len(state.test_labels)))
        inputs = keras.tree.map_structure(lambda array, part=part: array[part], state.tests)
        yield part, inputs, state.test_labels[part]
