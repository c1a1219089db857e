"""The likelihood-ratio membership attack (LiRA), with every trial attacked by the others.

An adversary sees the signal that a model gives an example, such as the margin of its label, and
says whether the model was trained on the example. The signals of models that were trained on it,
and of models that were not, are taken for two normal distributions, and the statistic is the
logarithm of the ratio of their densities (Carlini et al. 2022, "Membership Inference Attacks From
First Principles", Alg. 1, online). Their means and variances come from all trials but the attacked
one and those with its subset, by sums: t trials of n examples take O(t n) operations and O(n)
memory. An adversary has no other model with the very subset of the attacked one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

LIRA, FIXED, THRESHOLD = "LiRA", "LiRA, fixed variance", "global threshold"
ATTACKS = (LIRA, FIXED, THRESHOLD)
FEWEST = 3  # trials with an example, and without it, so that a variance is left without one of them
_SQUARES = 2.0**-28  # squares are multiples of this, so that the order of trials does not matter
_TINY = 2.0**-24  # the least positive float16


@dataclass(frozen=True)
class Normal:
    """Normal distributions of the signal of each example.

    Attributes:
      count: int64 `[examples]`, the trials that they were fitted to.
      mean: float64 `[examples]`.
      variance: float64 `[examples]`, unbiased; not below the variance of rounding.
    """

    count: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    def pooled(self) -> Normal:
        """The same means, and for all examples the variance that trials have within an example."""
        freedom = np.maximum(self.count - 1, 0)
        known = freedom > 0
        variance = np.average(self.variance[known], weights=freedom[known])
        return replace(self, variance=np.full_like(self.mean, variance))

    def log_density(self, signal: np.ndarray) -> np.ndarray:
        """Logarithm of the density at the signal of each example, up to a constant."""
        return -0.5 * (np.log(self.variance) + np.square(signal - self.mean) / self.variance)


class Shadows:
    """Sums of the signals of examples over trials, from which those of a subset can be left out."""

    def __init__(self, examples: int, resolution: float = 2.0**-10, models: int = 1) -> None:
        """Begins without trials.

        Args:
          examples: number of training examples.
          resolution: distance of neighbouring signals as a share of their size; the variance of
            rounding follows from it. That of float16 is the default.
          models: number of trials that have the same subset.
        """
        self._resolution = resolution
        self._models = models
        self.trials = 0
        self.num_in = np.zeros(examples, np.int64)
        self._sums = np.zeros((2, 2, examples))  # of signals and squares; of all trials and inside

    def add(self, mask: np.ndarray, signal: np.ndarray) -> None:
        """Adds a trial.

        Args:
          mask: bool `[examples]`, whether its model was trained on the example.
          signal: float64 `[examples]`, finite.
        """
        powers = self._powers(signal)
        self.trials += 1
        self.num_in += mask
        self._sums[:, 0] += powers
        self._sums[:, 1] += np.where(mask, powers, 0)

    @property
    def attackable(self) -> np.ndarray:
        """Examples with enough trials on both sides for the attack, bool `[examples]`."""
        return np.minimum(self.num_in, self.trials - self.num_in) >= FEWEST * self._models

    def both(self) -> tuple[Normal, Normal]:
        """The signals of models that were trained on each example, and of those that were not."""
        return self._normals(self.trials, self.num_in, self._sums)

    def without(self, mask: np.ndarray, signals: np.ndarray) -> tuple[Normal, Normal]:
        """Both distributions without the trials of one subset, which were added.

        Args:
          mask: bool `[examples]`, the subset.
          signals: float64 `[trials, examples]`, the signals of its trials.
        """
        powers = sum(map(self._powers, signals), np.zeros_like(self._sums[:, 0]))
        left = self._sums - np.stack([powers, np.where(mask, powers, 0)], axis=1)
        count = len(signals)
        return self._normals(self.trials - count, self.num_in - count * mask, left)

    def _powers(self, signal: np.ndarray) -> np.ndarray:
        squares = np.rint(np.square(signal) / _SQUARES) * _SQUARES
        return np.stack([signal, squares])

    def _normals(self, trials: int, num_in: np.ndarray, sums: np.ndarray) -> tuple[Normal, Normal]:
        inside, outside = sums[:, 1], sums[:, 0] - sums[:, 1]
        return self._normal(num_in, inside), self._normal(trials - num_in, outside)

    def _normal(self, count: np.ndarray, sums: np.ndarray) -> Normal:
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = sums[0] / count
            variance = (sums[1] - sums[0] * mean) / (count - 1)
        least = np.square(np.maximum(self._resolution * np.abs(mean), _TINY)) / 12
        return Normal(count, mean, np.where(count > 1, np.maximum(variance, least), np.nan))


def log_ratios(shadows: Shadows, mask: np.ndarray, signals: np.ndarray) -> dict[str, np.ndarray]:
    """The statistics of the trials of one subset, by the attack; high where membership is likely.

    Args:
      shadows: sums over all trials, these included.
      mask: bool `[examples]`, the subset.
      signals: float64 `[trials, examples]`, the signals of its trials, mostly one.

    Returns:
      Float64 `[trials, examples]` each. `LiRA` is the logarithm of the likelihood ratio, `LiRA,
      fixed variance` the same with one variance of all examples on either side, which is better
      with few shadow models (Carlini et al. 2022); `global threshold` is the signal itself, the
      attack without shadow models (Yeom et al. 2018). NaN where an example has too few trials.
    """
    inside, outside = shadows.without(mask, signals)
    known = shadows.attackable
    statistics = {
        LIRA: inside.log_density(signals) - outside.log_density(signals),
        FIXED: inside.pooled().log_density(signals) - outside.pooled().log_density(signals),
        THRESHOLD: signals,
    }
    return {name: np.where(known, values, np.nan) for name, values in statistics.items()}
