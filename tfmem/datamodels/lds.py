"""The linear datamodeling score: how well attributions predict the outputs of other models.

For a test example, the attributions of the training examples in a subset are summed. The score is
Spearman's correlation, over subsets, between these sums and the outputs of the models that were
trained on the subsets (Park et al. 2023, "TRAK", Sec. 2.2, eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Protocol

import numpy as np

from tfmem.datamodels.outputs import SubsetOutputs
from tfmem.datamodels.ranks import spearman
from tfmem.messages.errors import InputError

Predict = Callable[[slice], np.ndarray]

_BLOCK = 512  # test examples at a time: with 50,000 training examples they take 0.6 GB
_RESAMPLES = 400
_INTERVAL = 1.96  # standard errors
_BITS = 31  # of the largest score of a test example, as fixed point


class ScoreMatrix(Protocol):
    """Attributions of test examples to training examples, read in blocks of test examples.

    Attributes:
      source: what errors call it.
    """

    source: str

    def columns(self, tests: slice) -> np.ndarray:
        """The attributions of some test examples, floats `[num_train, tests]`."""


@dataclass(frozen=True)
class LinearDatamodelingScore:
    """How well attributions predict the outputs of models on subsets.

    Attributes:
      correlation: float64 `[num_test]`, Spearman's correlation for each test example: 0 where its
        attributions give all subsets the same sum, NaN where the models' outputs are all the same.
      value: mean over the test examples that have a correlation.
      low: lower end of a 95% interval, by the standard deviation of `value` among resamples of both
        subsets and test examples.
      high: upper end.
      subset_error: standard error of `value` from the draw of the subsets alone.
      test_error: standard error of `value` from the draw of the test examples alone.
      subsets: number of subsets.
      models: number of models that were trained on them.
      without_scores: number of test examples whose attributions predict nothing.
      ceiling: float64 `[num_test]`, see `noise_ceiling`; None with one model a subset.
    """

    correlation: np.ndarray
    value: float
    low: float
    high: float
    subset_error: float
    test_error: float
    subsets: int
    models: int
    without_scores: int
    ceiling: np.ndarray | None

    @property
    def ceiling_value(self) -> float:
        """Mean ceiling of the test examples that have a correlation; NaN if it is not known."""
        known = ~np.isnan(self.correlation)
        return float(self.ceiling[known].mean()) if self.ceiling is not None else np.nan


def linear_datamodeling_score(
    outputs: SubsetOutputs, predict: Predict, seed: int = 0, resamples: int = _RESAMPLES
) -> LinearDatamodelingScore:
    """Compares the outputs of models with what attributions predict for their subsets.

    Args:
      outputs: those of subsets from which the attributions were not made.
      predict: returns for some test examples the predictions for each subset, `[subsets, tests]`.
      seed: decides the resamples.
      resamples: number of resamples for errors and interval.

    Raises:
      InputError: if there are fewer than three subsets, if no model's output varies, or if the
        attributions cannot be read.
    """
    subsets, tests = len(outputs), outputs.num_test
    if subsets < 3 or not tests:
        raise InputError(
            f"expected at least 3 different subsets and a test example to judge attributions by, "
            f"received {subsets} and {tests} (where attributions are made from trials, only the "
            "share --holdout of the subsets judges)"
        )
    draws = np.random.default_rng(np.random.SeedSequence(seed))
    weights = draws.multinomial(subsets, np.full(subsets, 1 / subsets), resamples)
    weights = np.concatenate([np.ones((1, subsets), np.int64), weights]).astype(np.int32)
    found = np.empty((len(weights), tests))
    constant = np.zeros(tests, bool)
    for block in blocks(tests):
        said, predicted = outputs.means[:, block], predict(block)
        found[:, block] = spearman(said, predicted, weights)
        constant[block] = np.ptp(predicted, axis=0) == 0
    varies = np.ptp(outputs.means, axis=0) > 0
    if not varies.any():
        raise InputError("the outputs of all models are the same on every test example")
    found[:, varies] = np.nan_to_num(found[:, varies])  # what is constant predicts nothing
    found[:, ~varies] = np.nan
    known = found[:, varies]
    count = known.shape[1]
    chosen = draws.multinomial(count, np.full(count, 1 / count), resamples)
    both = (known[1:] * chosen).sum(axis=1) / count
    value, error = float(known[0].mean()), float(both.std(ddof=1))
    return LinearDatamodelingScore(
        correlation=found[0],
        value=value,
        low=max(value - _INTERVAL * error, -1.0),
        high=min(value + _INTERVAL * error, 1.0),
        subset_error=float(known[1:].mean(axis=1).std(ddof=1)),
        test_error=float(known[0].std(ddof=1) / np.sqrt(count)) if count > 1 else np.nan,
        subsets=subsets,
        models=len(outputs.each),
        without_scores=int((constant & varies).sum()),
        ceiling=noise_ceiling(outputs),
    )


def noise_ceiling(outputs: SubsetOutputs) -> np.ndarray | None:
    """The correlation that a perfect prediction of each test example would have.

    The correlation between two models of the same subsets, a mean over pairs of models, gives that
    of mean outputs (Spearman & Brown), and its root is the correlation of mean outputs with what
    they would be without the noise of training. For ranks that is an approximation.

    Returns:
      float64 `[num_test]` in [0, 1]; None unless three subsets or more have several models.
    """
    fewest = int(outputs.models.min())
    if fewest < 2 or len(outputs) < 3:
        return None
    order = np.argsort(outputs.place, kind="stable")
    first = np.searchsorted(outputs.place[order], np.arange(len(outputs)))
    models = [outputs.each[order[first + number]] for number in range(fewest)]
    pairs = list(combinations(range(fewest), 2))
    alike = sum(np.nan_to_num(spearman(models[a], models[b])[0]) for a, b in pairs) / len(pairs)
    alike = np.maximum(alike, 0)
    ceiling: np.ndarray = np.sqrt(fewest * alike / (1 + (fewest - 1) * alike))
    return ceiling


def blocks(tests: int) -> Iterator[slice]:
    """Divides test examples into blocks."""
    for start in range(0, tests, _BLOCK):
        yield slice(start, min(start + _BLOCK, tests))


def summed(scores: ScoreMatrix, outputs: SubsetOutputs) -> Predict:
    """Predicts outputs by the sums of attributions over subsets.

    The attributions of a test example are rounded to multiples of 2^-31 of the power of 2 above the
    largest, so their sums are the same to the bit whatever the blocks, threads or order.

    Args:
      scores: attributions of the same examples.
      outputs: the subsets to predict for.
    """
    bits = outputs.bits()

    def predict(tests: slice) -> np.ndarray:
        values = np.asarray(scores.columns(tests), np.float64)
        _check_finite(values, tests, scores.source)
        _, exponent = np.frexp(np.abs(values).max(axis=0))
        unit = np.ldexp(1.0, exponent - _BITS)
        predicted: np.ndarray = bits @ np.rint(values / unit)
        return predicted * unit

    return predict


def _check_finite(values: np.ndarray, tests: slice, source: str) -> None:
    wrong = ~np.isfinite(values)
    if wrong.any():
        train, test = np.unravel_index(int(wrong.argmax()), wrong.shape)
        raise InputError(
            f"{source}: training example {train}, test example {tests.start + test}: expected a "
            f"finite number, received {values[train, test]}"
        )
