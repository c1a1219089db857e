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


def influence_on(given: SubsetOutputs) -> tuple[np.ndarray, np.ndarray]:
    """Influence of all training on all test examples, and its standard errors.

    Args:
      given: subsets and outputs, for as many test examples as results may take memory for. Each
        subset counts once, with the mean output of its models.

    Returns:
      Two float64 `[num_train, num_test]`: differences of mean outputs of subsets with and without
      a training example, and the errors of these from the variances on both sides. NaN where all
      subsets hold the training example, or none does; errors also where only one does or does not.
    """
    outputs = given.means - given.means.mean(axis=0)  # so that squares lose few digits
    value, stderr = np.empty((2, given.num_train, given.num_test))
    for start in range(0, given.num_train, _EXAMPLES):
        part = slice(start, min(start + _EXAMPLES, given.num_train))
        held = given.bits(part).T
        sides = []
        for bits in (held, 1 - held):
            count = bits.sum(axis=1)[:, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                mean = bits @ outputs / count
                spread = np.maximum(bits @ outputs**2 / count - mean**2, 0) * count / (count - 1)
                sides.append((mean, np.where(count > 1, spread / count, np.nan)))
        value[part] = sides[0][0] - sides[1][0]
        stderr[part] = np.sqrt(sides[0][1] + sides[1][1])
    return value, stderr
