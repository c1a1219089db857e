"""Influence as a linear predictor: differences of mean outputs with and without an example."""

from __future__ import annotations

import numpy as np

from tfmem.datamodels.lds import Predict
from tfmem.datamodels.outputs import SubsetOutputs

_EXAMPLES = 4096  # training examples at a time


def influence_predictions(given: SubsetOutputs, wanted: SubsetOutputs) -> Predict:
    """Predicts outputs by the sums of influences over subsets.

    The influence of a training on a test example is the mean output of models whose subset holds
    the training example, less that of the others (Feldman & Zhang 2020, Alg. 1, line 7). Examples
    that all subsets hold, or none does, have no influence that is known, and count as 0. The sums
    follow from the outputs by one matrix `[wanted, given]`, so influences are never held.

    Args:
      given: the subsets and outputs that influences are estimated from.
      wanted: the subsets to predict for.
    """
    mixing = np.zeros((len(wanted), len(given)))
    for start in range(0, given.num_train, _EXAMPLES):
        part = slice(start, min(start + _EXAMPLES, given.num_train))
        held, asked = given.bits(part), wanted.bits(part)
        num_in = held.sum(axis=0)
        num_out = len(given) - num_in
        known = (num_in > 0) & (num_out > 0)
        held, asked = held[:, known], asked[:, known]
        with_it, without = 1 / num_in[known], 1 / num_out[known]
        mixing += (asked * (with_it + without)) @ held.T - (asked @ without)[:, None]
    return lambda tests: mixing @ given.means[:, tests]
