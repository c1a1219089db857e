"""Differences of two means over trials, with their standard errors and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

_UPPER = 0.975  # of a 95% interval


@dataclass(frozen=True)
class Difference:
    """Difference of two means; all arrays have the shape of the counts.

    Attributes:
      value: float64, `correct_in / num_in - correct_out / num_out`; NaN where a number is 0.
      stderr: float64, standard error.
      low: float64, lower end of the 95% interval.
      high: float64, upper end.
    """

    value: np.ndarray
    stderr: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Samples(NamedTuple):
    """Sums over trials with an example, and over those without it; arrays that broadcast.

    Attributes:
      correct_in: trials that are correct among those with the example in the subset; or the sum of
        numbers `z` from 0 to 1.
      num_in: number of trials with the example in the subset.
      correct_out: trials that are correct among the others, or the sum of their `z`.
      num_out: number of the others.
      uncertain_in: sum of `z (1 - z)` over trials with the example; None for correctness.
      uncertain_out: likewise over the others.
      width: by which a difference of `z` is multiplied for one of the statistic, which then has no
        bounds; None where `z` is the statistic.
    """

    correct_in: np.ndarray
    num_in: np.ndarray
    correct_out: np.ndarray
    num_out: np.ndarray
    uncertain_in: np.ndarray | None = None
    uncertain_out: np.ndarray | None = None
    width: np.ndarray | None = None


def difference(
    correct_in: np.ndarray,
    num_in: np.ndarray,
    correct_out: np.ndarray,
    num_out: np.ndarray,
    uncertain_in: np.ndarray | None = None,
    uncertain_out: np.ndarray | None = None,
    width: np.ndarray | None = None,
) -> Difference:
    """Difference of two means with standard error and 95% interval; arguments as in `Samples`.

    The interval of proportions is that of Agresti & Caffo (2000): one success and one failure are
    added to each sample before the normal approximation. Of three intervals it has the best least
    coverage over probabilities from 0 to 1, at a mean width like the others'
    (`tests/test_intervals.py` has the exact numbers). The standard error is that of the same
    samples, so it is never 0, also where models are always right. All results are NaN where an
    example was in every trial or in none.

    Other numbers from 0 to 1 are treated alike: a 1 and a 0 are added to each sample, whose
    variance is then `mean (1 - mean)` less the mean of `z (1 - z)`. Welch's interval, which adds
    nothing, misses a probability that is nearly always 1 and rarely 0
    (`tests/test_probability.py`).

    Numbers without bounds have nothing that could be added: their interval is Welch's (1947), with
    unbiased variances and Satterthwaite's degrees of freedom. Error and interval are NaN where a
    sample has fewer than two trials.
    """
    samples = Samples(correct_in, num_in, correct_out, num_out, uncertain_in, uncertain_out, width)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = correct_in / num_in - correct_out / num_out
    if width is not None:
        return _welch(value * width, samples)
    p_in = (correct_in + 1) / (num_in + 2)
    p_out = (correct_out + 1) / (num_out + 2)
    variance = p_in * (1 - p_in) / (num_in + 2) + p_out * (1 - p_out) / (num_out + 2)
    if uncertain_in is not None and uncertain_out is not None:
        variance -= uncertain_in / (num_in + 2) ** 2 + uncertain_out / (num_out + 2) ** 2
    stderr = np.sqrt(variance)
    stderr = np.where(np.isnan(value), np.nan, stderr)
    half = NormalDist().inv_cdf(_UPPER) * stderr
    center = p_in - p_out
    return Difference(value, stderr, np.maximum(center - half, -1), np.minimum(center + half, 1))


def variance(
    correct_in: np.ndarray,
    num_in: np.ndarray,
    correct_out: np.ndarray,
    num_out: np.ndarray,
    uncertain_in: np.ndarray | None = None,
    uncertain_out: np.ndarray | None = None,
    width: np.ndarray | None = None,
) -> np.ndarray:
    """Unbiased estimate of the sampling variance of a difference; arguments as in `Samples`.

    For proportions it is `p_in (1 - p_in) / (num_in - 1)` and the same of the others; NaN with
    fewer than two trials in either. Summed over many estimates it says what their squared errors
    sum to, which `difference`'s standard errors, cautious where models are always right, overstate.
    """
    of_mean = _of_mean(correct_in, num_in, uncertain_in)
    of_mean = of_mean + _of_mean(correct_out, num_out, uncertain_out)
    return of_mean if width is None else of_mean * width**2


def pooled_sd(samples: Samples) -> np.ndarray:
    """Standard deviation of one value, pooled over trials with an example and those without it.

    A difference over it is Cohen's d. It is NaN with fewer than three trials, and 0 where all
    trials of each side agree.
    """
    squares = _squares(samples.correct_in, samples.num_in, samples.uncertain_in)
    squares = squares + _squares(samples.correct_out, samples.num_out, samples.uncertain_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.sqrt(squares / (samples.num_in + samples.num_out - 2))
    return deviation if samples.width is None else deviation * samples.width


def _squares(total: np.ndarray, number: np.ndarray, uncertain: np.ndarray | None) -> np.ndarray:
    """Sum of squared distances of numbers from 0 to 1 from their mean."""
    squares = total * (1 - total / np.maximum(number, 1))
    return squares if uncertain is None else np.maximum(squares - uncertain, 0)


def _of_mean(total: np.ndarray, number: np.ndarray, uncertain: np.ndarray | None) -> np.ndarray:
    """Unbiased estimate of the sampling variance of a mean of numbers from 0 to 1."""
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = total / number
        of_one = mean * (1 - mean)
        if uncertain is not None:
            of_one = np.maximum(of_one - uncertain / number, 0)
        return np.where(number > 1, of_one / (number - 1), np.nan)


def _welch(value: np.ndarray, samples: Samples) -> Difference:
    """The difference `value` of two means with Welch's interval."""
    one = _of_mean(samples.correct_in, samples.num_in, samples.uncertain_in)
    other = _of_mean(samples.correct_out, samples.num_out, samples.uncertain_out)
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom = (one + other) ** 2 / (
            one**2 / (samples.num_in - 1) + other**2 / (samples.num_out - 1)
        )
    stderr = samples.width * np.sqrt(one + other)
    half = np.where(stderr == 0, 0.0, stdtrit(freedom, _UPPER)) * stderr
    return Difference(value, stderr, value - half, value + half)
