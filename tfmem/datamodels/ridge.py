"""Datamodels by ridge regression, in closed form for all test examples at once.

A datamodel of a test example (Ilyas et al. 2022, Sec. 2) predicts the output of a model by a
constant and the sum of the weights of the training examples in its subset. All test examples have
the same subsets, so one factorization of the subsets' inner products `[subsets, subsets]` serves
all of them and every penalty. Weights are those of `|y - b - X w|^2 + penalty |w|^2`; as the
penalty grows, they become proportional to influence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

from tfmem.datamodels.gram import centred, common
from tfmem.datamodels.lds import Predict, blocks
from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.messages.errors import InputError

# Penalties, as multiples of the mean eigenvalue of the subsets' inner products.
_PENALTIES = np.logspace(-3, 4, 29)


@dataclass(frozen=True)
class RidgeDatamodels:
    """A datamodel for each test example.

    Attributes:
      penalty: float64 `[num_test]`, the penalty with the least error on subsets left out.
      explained: float64 `[num_test]`, the share of the variance of mean outputs that is predicted
        for each subset by the weights from all others; at most 1; NaN where outputs do not vary.
      noise: float64 `[num_test]`, standard deviation of mean outputs about the linear function.
    """

    penalty: np.ndarray
    explained: np.ndarray
    noise: np.ndarray
    _given: SubsetOutputs
    _dual: np.ndarray  # float64 [subsets, num_test]
    _vectors: np.ndarray  # float64 [subsets, rank]
    _values: np.ndarray  # float64 [rank], ascending

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of training and of test examples."""
        return self._given.num_train, len(self.penalty)

    def weights(self, examples: slice = slice(None)) -> np.ndarray:
        """The weights of some training examples, float64 `[examples, num_test]`.

        They are in the unit of the outputs. Where all subsets have the same size, the weights of a
        test example are determined up to a constant, and sum to 0.
        """
        bits = self._given.bits(examples)
        return (bits - bits.mean(axis=0)).T @ self._dual

    def stderr(self, examples: slice = slice(None)) -> np.ndarray:
        """Standard errors of the weights of some training examples, `[examples, num_test]`.

        They are those of the noise in the outputs for these subsets and this penalty, and do not
        contain the bias towards 0 that the penalty causes.
        """
        bits = self._given.bits(examples)
        spread = ((bits - bits.mean(axis=0)).T @ self._vectors) ** 2
        penalties, place = np.unique(self.penalty, return_inverse=True)
        shrunk = 1 / (self._values[:, None] + penalties) ** 2
        variances: np.ndarray = (spread @ shrunk)[:, place]
        return np.sqrt(variances) * self.noise

    def predictions(self, wanted: SubsetOutputs) -> Predict:
        """Predicts the outputs of other subsets, but for a constant for each test example."""
        products = common(wanted.masks, self._given.masks)
        return lambda tests: products @ self._dual[:, tests]


def ridge(given: SubsetOutputs) -> RidgeDatamodels:
    """Fits a datamodel to the mean outputs of models for each test example.

    The penalty of each test example is the one with the least squared error when each subset is
    predicted from all others, which has a closed form.

    Args:
      given: subsets and outputs.

    Raises:
      InputError: if there are fewer than four subsets.
    """
    count, tests = len(given), given.num_test
    if count < 4:
        raise InputError(
            f"expected at least 4 different subsets to fit datamodels to, received {count}"
        )
    values, vectors = eigh(centred(common(given.masks, given.masks)), driver="evd")
    kept = values > values[-1] * count * np.finfo(float).eps * 8
    values, vectors = values[kept], vectors[:, kept]
    penalties = _PENALTIES * values.mean()
    shrink = values[:, None] / (values[:, None] + penalties)  # [rank, penalties]
    leverage = vectors**2 @ shrink + 1 / count  # [subsets, penalties]
    penalty, explained, noise = (np.empty(tests) for _ in range(3))
    dual = np.empty((count, tests))
    for block in blocks(tests):
        outputs = given.means[:, block] - given.means[:, block].mean(axis=0)
        projected = vectors.T @ outputs
        errors = np.empty((len(penalties), outputs.shape[1]))
        for number in range(len(penalties)):
            residual = outputs - vectors @ (shrink[:, number, None] * projected)
            errors[number] = ((residual / (1 - leverage[:, number, None])) ** 2).sum(axis=0)
        best = errors.argmin(axis=0)
        chosen = shrink[:, best]
        residual = outputs - vectors @ (chosen * projected)
        freedom = count - 1 - (2 * chosen - chosen**2).sum(axis=0)
        total = (outputs**2).sum(axis=0) * (count / (count - 1)) ** 2  # of means of all others
        with np.errstate(divide="ignore", invalid="ignore"):
            explained[block] = 1 - errors[best, np.arange(len(best))] / total
            noise[block] = np.sqrt((residual**2).sum(axis=0) / freedom)
        penalty[block] = penalties[best]
        dual[:, block] = vectors @ (projected / (values[:, None] + penalties[best]))
    return RidgeDatamodels(penalty, explained, noise, given, dual, vectors, values)
