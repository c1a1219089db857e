"""Compares two noisy measurements of the same quantities, and corrects for their noise.

Noise lowers a correlation, and the slope over a noisy variable (Spearman 1904). Here the variance
of the noise of both measurements is known, and so is its effect (Fuller 1987, Sec. 1.2).

All quantities may be measured on the same models, whose quality then moves them together. A common
shift changes neither correlation nor slope, but it does not average out over quantities: the error
of the mean difference has the variance between models beside that between quantities.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import (
    ConstantInputWarning,
    DegenerateDataWarning,
    NearConstantInputWarning,
    bootstrap,
    pearsonr,
)

_RESAMPLES = 2_000
_SEED = 0  # intervals are the same whenever they are computed


@dataclass(frozen=True)
class NoisyComparison:
    """How far `y` follows `x`; NaN where one of them is the same for all.

    Attributes:
      correlation: Pearson's, as measured.
      correlation_ci: its 95% interval, by a bootstrap over the quantities.
      ceiling: the correlation that is expected if noise is the only difference of both.
      slope: slope of true `y` over true `x`: covariance over the variance of `x` beyond noise.
      slope_ci: its 95% interval, likewise.
      bias: mean of `x - y`.
      bias_stderr: its standard error, over quantities and over the models that they share.
      rms: root mean square of `x - y`.
      rms_noise: what it would be by noise alone.
    """

    correlation: float
    correlation_ci: tuple[float, float]
    ceiling: float
    slope: float
    slope_ci: tuple[float, float]
    bias: float
    bias_stderr: float
    rms: float
    rms_noise: float


def compare_noisy(
    x: np.ndarray,
    y: np.ndarray,
    x_variance: np.ndarray,
    y_variance: np.ndarray,
    mean_variance: float | None = None,
) -> NoisyComparison:
    """Compares two measurements of the same quantities; noise of `x` and of `y` is independent.

    The slope allows for `y` that do not lie on a line for other reasons than noise, which
    orthogonal regression does not.

    Args:
      x: float64 `[quantities]`.
      y: likewise.
      x_variance: estimates, right in the mean, of the variance of the noise in each `x`.
      y_variance: likewise of `y`.
      mean_variance: likewise, of the noise in the mean of `x - y` over all quantities, with what
        they share; None if the noise of different quantities is independent.
    """
    samples = x, y, x_variance, y_variance
    apart, count = x - y, len(x)
    alone = float((x_variance + y_variance).sum()) / count**2
    shared = 0.0 if mean_variance is None else max(mean_variance - alone, 0) * count / (count - 1)
    return NoisyComparison(
        correlation=float(_pearson(x, y)),
        correlation_ci=_interval(_pearson, (x, y)),
        ceiling=_ceiling(*samples),
        slope=float(_slope(*samples[:3])),
        slope_ci=_interval(_slope, samples[:3]),
        bias=float(apart.mean()),
        bias_stderr=float(np.sqrt(apart.var(ddof=1) / count + shared)),
        rms=float(np.sqrt((apart**2).mean())),
        rms_noise=float(np.sqrt((x_variance + y_variance).mean())),
    )


def _pearson(first: np.ndarray, second: np.ndarray, axis: int = -1) -> np.ndarray:
    """Pearson's correlation along an axis; NaN where one side is the same for all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConstantInputWarning)
        warnings.simplefilter("ignore", NearConstantInputWarning)
        return np.asarray(pearsonr(first, second, axis=axis).statistic)


def _slope(x: np.ndarray, y: np.ndarray, x_variance: np.ndarray, axis: int = -1) -> np.ndarray:
    apart_x, apart_y = (values - values.mean(axis=axis, keepdims=True) for values in (x, y))
    both = (apart_x * apart_y).sum(axis=axis) / (x.shape[axis] - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(both / (x.var(axis=axis, ddof=1) - x_variance.mean(axis=axis)))


def _ceiling(x: np.ndarray, y: np.ndarray, x_variance: np.ndarray, y_variance: np.ndarray) -> float:
    """Root of the product of the shares of variance that are no noise."""
    observed, noise = np.var([x, y], axis=1, ddof=1), np.mean([x_variance, y_variance], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.sqrt(np.prod(np.maximum(1 - noise / observed, 0))))


def _interval(
    statistic: Callable[..., np.ndarray], samples: Sequence[np.ndarray]
) -> tuple[float, float]:
    """The 95% interval by percentiles of the resamples in which the statistic is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateDataWarning)  # of resamples that are left out
        drawn = bootstrap(
            samples, statistic, paired=True, vectorized=True, n_resamples=_RESAMPLES,
            method="percentile", rng=np.random.default_rng(_SEED),
        ).bootstrap_distribution  # fmt: skip
    if np.isnan(drawn).all():
        return np.nan, np.nan
    low, high = np.nanquantile(drawn, [0.025, 0.975]).tolist()
    return low, high
