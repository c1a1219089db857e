"""TracIn: gradients that a training example and a test example share (Pruthi et al. 2020).

A step of gradient descent on training example `z` lowers the loss of test example `z'`, to first
order, by the learning rate times the inner product of the gradients of their losses. The score is
the sum over checkpoints of one training,

    sum over checkpoints of  rate * grad loss(z) . grad loss(z'),

TracInCP in Sec. 3.3 of the paper, which takes the rate to be constant between checkpoints; here it
is the mean since the checkpoint before. With other optimizers than gradient descent the rate is the
optimizer's; momentum and the scaling of gradients are left out, as in the paper.
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
    blocks_of_tests,
    sketch_of,
    training_blocks,
)

_PROJECTION = 2048


def tracin(state: TrainedState, config: Config, _: Path) -> Contribution:
    """Returns what one checkpoint contributes to the scores of TracIn.

    Args:
      state: the model at the checkpoint.
      config: its section `gradient_attribution`; gradients with fewer numbers than `projection`
        are kept whole, and the result is exact.

    Raises:
      InputError: if memory does not suffice.
    """
    objective = state.objective
    sketch = sketch_of(state, config.gradient_attribution.projection or _PROJECTION)
    sketch.check_memory("gradient_attribution.projection", len(state.test_labels), square=False)
    tests = np.empty((len(state.test_labels), sketch.size), np.float32)
    for part, inputs, labels in blocks_of_tests(state):
        found = [sketch.project(rows) for _, rows in objective.loss_gradients(inputs, labels)]
        tests[part] = np.concatenate(found)
    tests *= np.float32(state.rate)

    def blocks() -> Iterator[Block]:
        for chosen, inputs, labels in training_blocks(objective):
            done = 0
            for _, rows in objective.loss_gradients(inputs, labels):
                part = chosen[done : done + len(rows)]
                yield Block(part, slice(0, len(tests)), sketch.project(rows) @ tests.T)
                done += len(rows)

    return Contribution(blocks())


TRACIN = Method(
    name="tracin",
    source="Pruthi et al. (2020), Sec. 3.3",
    checkpoints=True,
    passes=1,
    contribution=tracin,
)
