"""A learner whose outputs are a sum over its subset."""

import numpy as np

from tfmem.datamodels.outputs import by_subset


def learner(subsets=60, size=14, train=20, tests=6, repeats=1, noise=0.0, seed=0):
    """Outputs of a learner that sums coefficients over its subset, and the coefficients."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((subsets, train), bool)
    for mask in masks:
        mask[rng.permutation(train)[:size]] = True
    coefficients = rng.normal(size=(train, tests))
    outputs = np.repeat(masks @ coefficients, repeats, axis=0)
    outputs += noise * rng.normal(size=outputs.shape)
    packed = np.repeat(np.packbits(masks, axis=1, bitorder="little"), repeats, axis=0)
    return by_subset(packed, outputs, train), coefficients
