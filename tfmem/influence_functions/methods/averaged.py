"""Influence functions, averaged over models that differ in their seeds.

In one model the score is how much the probability of the test label falls, to first order, when the
training example is left out (`tfmem.influence_functions.scores`). The mean over models
removes what is peculiar to one of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.influence_functions.methods.method import (
    Block,
    Contribution,
    Method,
    TrainedState,
)
from tfmem.influence_functions.scores import influence_blocks
from tfmem.influence_functions.solvers import make_solver

_FAILURES = "Their scores in this model count as 0 in the mean over models."


def influence_functions(state: TrainedState, config: Config, _: Path) -> Contribution:
    """Returns what one model contributes to mean influence functions.

    Args:
      state: the trained model.
      config: its section `self_influence`, which names the solver.

    Raises:
      InputError: if the solver does not go with the model, or converges for no test example.
    """
    solver = make_solver(config.self_influence, state.objective)
    everything = np.arange(len(state.objective.labels))
    seen = len(state.objective.curvature_examples)

    def blocks() -> Iterator[Block]:
        for train, tests, values in influence_blocks(
            solver, state.tests, state.test_labels, everything, _FAILURES
        ):
            yield Block(train, tests, np.nan_to_num(values) / seen)

    return Contribution(blocks())


INFLUENCE_FUNCTIONS = Method(
    name="influence-functions",
    source="Koh & Liang (2017), averaged over models",
    checkpoints=False,
    passes=2,
    contribution=influence_functions,
)
