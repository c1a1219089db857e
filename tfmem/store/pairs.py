"""High-influence pairs and their statistics (Feldman & Zhang 2020, Sec. 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pairs:
    """Pairs of a training and a test example; all arrays are `[pairs]`.

    Attributes:
      train_index: int64.
      test_index: int64.
      label: int64, the class of the training example.
      test_label: int64, the class of the test example.
      memorization: float64, of the training example.
      influence: float64, of the training example on the test example.
      stderr: float64, standard error of the influence.
      ci_low: float64, lower end of the 95% interval of the influence.
      ci_high: float64, upper end.
      p_value: float64, exact probability of at least this estimate if there is no influence;
        records hold it as float32, which is 0 below 1e-45.
      log10_p_value: float64, its decimal logarithm.
      q_value: float64, the false discovery rate at which the pair would be selected.
    """

    train_index: np.ndarray
    test_index: np.ndarray
    label: np.ndarray
    test_label: np.ndarray
    memorization: np.ndarray
    influence: np.ndarray
    stderr: np.ndarray
    ci_low: np.ndarray
    ci_high: np.ndarray
    p_value: np.ndarray
    log10_p_value: np.ndarray
    q_value: np.ndarray


@dataclass(frozen=True)
class ModelInfluence:
    """The influence of some training examples on a block of test examples, in one model.

    Attributes:
      test_index: int64 `[tests]`.
      correct: bool `[tests]`, whether the model predicts each of them correctly.
      influence: float64 `[train, tests]`, by how much the probability of the test example's label
        would fall, to first order, if the training example had been left out; NaN if it is not
        known.
    """

    test_index: np.ndarray
    correct: np.ndarray
    influence: np.ndarray


@dataclass(frozen=True)
class PairStatistics:
    """The statistics that the paper reports of selected pairs (Sec. 3 and App. C).

    Attributes:
      pairs: number of pairs.
      unique_train: number of different training examples in them.
      unique_test: number of different test examples in them.
      influencers: `influencers[k]` test examples are influenced by exactly `k` training examples.
    """

    pairs: int
    unique_train: int
    unique_test: int
    influencers: dict[int, int]


def statistics(pairs: Pairs) -> PairStatistics:
    """Counts unique examples, and how many test examples have exactly 1, 2, 3, … influencers."""
    _, multiplicity = np.unique(pairs.test_index, return_counts=True)
    times, tests = np.unique(multiplicity, return_counts=True)
    return PairStatistics(
        pairs=len(pairs.train_index),
        unique_train=len(np.unique(pairs.train_index)),
        unique_test=len(multiplicity),
        influencers=dict(zip(times.tolist(), tests.tolist(), strict=True)),
    )
