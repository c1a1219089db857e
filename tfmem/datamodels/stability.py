"""How stable the choice of a sparse datamodel is: selection frequencies over halves of the subsets.

For complementary halves, drawn at random, the weights at the penalty of the whole are found again.
A training example's stability is the share of halves in which its weight is not 0 (Meinshausen &
Buehlmann 2010; in complementary pairs, Shah & Samworth 2013).
"""

from __future__ import annotations

import numpy as np

from tfmem.datamodels.lasso import Counted, LassoDatamodels, count, follow
from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.datamodels.threads import in_threads
from tfmem.estimation.compiling import compiled

_STEPS = 12  # penalties of the path to the one that is wanted
_TOLERANCE = 1e-12  # of the squared outputs: what is 0 is known sooner than all digits of the rest


def stability(
    found: LassoDatamodels, given: SubsetOutputs, pairs: int = 25, seed: int = 0
) -> np.ndarray:
    """The share of random halves of the subsets in which each weight is not 0.

    Args:
      found: the datamodels.
      given: the subsets and outputs that they were fitted to.
      pairs: number of pairs of complementary halves.
      seed: decides the halves.

    Returns:
      float32 `[num_train, num_test]` in [0, 1].
    """
    draws = np.random.default_rng(np.random.SeedSequence(seed))
    size = len(given)
    bits, outputs = given.bits(), given.means
    chosen = np.zeros((given.num_test, given.num_train), np.int32)
    for _ in range(pairs):
        order = draws.permutation(size)
        for half in (order[: size // 2], order[size // 2 : size // 2 * 2]):
            counted = count(given, np.sort(half))
            centred = outputs[half] - outputs[half].mean(axis=0)
            against = np.ascontiguousarray((bits[half].T @ centred).T)
            power = (centred**2).sum(axis=0)
            penalties, tolerances = found.penalty * len(half), _TOLERANCE * power

            def add(
                part: slice,
                counted: Counted = counted,
                against: np.ndarray = against,
                penalties: np.ndarray = penalties,
                tolerances: np.ndarray = tolerances,
            ) -> None:
                _add(counted.both, counted.ones, len(counted.subsets), against[part],
                     penalties[part], tolerances[part], chosen[part])  # fmt: skip

            in_threads(add, given.num_test)
    shares: np.ndarray = chosen.T.astype(np.float32) / np.float32(2 * pairs)
    return shares


@compiled
def _add(
    both: np.ndarray,
    once: np.ndarray,
    size: int,
    against: np.ndarray,
    penalties: np.ndarray,
    tolerances: np.ndarray,
    chosen: np.ndarray,
) -> None:
    """Adds 1 for each weight of a half that is not 0."""
    for target in range(len(chosen)):
        largest = np.abs(against[target]).max()
        last = penalties[target]
        if last == 0 or last >= largest:
            continue
        path = largest * (last / largest) ** (np.arange(1, _STEPS + 1) / _STEPS)
        path[-1] = last
        weights = np.empty(len(once))
        follow(
            both, once, size, against[target], path, tolerances[target], tolerances[target], weights
        )
        for feature in range(len(weights)):
            if weights[feature] != 0:
                chosen[target, feature] += 1
