"""How two noisy measurements of the same quantities compare, beyond what noise alone does.

Noise lowers a correlation, and the slope on what is noisy (Spearman 1904). Both measurements here
come with the variance of their noise, so what it does is known (Fuller 1987, Sec. 1.2).

All quantities may be measured on the same models, whose quality then moves them together. A common
shift changes neither correlation nor slope, but it does not average out over quantities: the error
of the mean difference has the variance between models beside that between quantities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 2_000
_SEED = 0  # intervals are the same whenever they are computed


@dataclass(frozen=True)
class NoisyComparison:
    """How far `y` follows `x`; NaN where one of them is the same for all.

    Attributes:
      correlation: Pearson's, as measured.
      correlation_ci: its 95% interval, by a bootstrap over the quantities.
      ceiling: the correlation to be expected were both right but for their noise.
      slope: of true `y` on true `x`: covariance over the variance of `x` that is no noise.
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
    samples = np.stack([x, y, x_variance, y_variance])
    apart, count = x - y, len(x)
    alone = float((x_variance + y_variance).sum()) / count**2
    shared = 0.0 if mean_variance is None else max(mean_variance - alone, 0) * count / (count - 1)
    return NoisyComparison(
        correlation=float(_correlation(samples)),
        correlation_ci=_interval(_correlation, samples),
        ceiling=_ceiling(samples),
        slope=float(_slope(samples)),
        slope_ci=_interval(_slope, samples),
        bias=float(apart.mean()),
        bias_stderr=float(np.sqrt(apart.var(ddof=1) / count + shared)),
        rms=float(np.sqrt((apart**2).mean())),
        rms_noise=float(np.sqrt((x_variance + y_variance).mean())),
    )


def _moments(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Variance of `x` and of `y`, and their covariance, over the last axis."""
    x, y = (values - values.mean(axis=-1, keepdims=True) for values in samples[:2])
    count = x.shape[-1] - 1
    return tuple((a * b).sum(axis=-1) / count for a, b in ((x, x), (y, y), (x, y)))  # type: ignore[return-value]


def _correlation(samples: np.ndarray) -> np.ndarray:
    x, y, both = _moments(samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(both / np.sqrt(x * y))


def _slope(samples: np.ndarray) -> np.ndarray:
    x, _, both = _moments(samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(both / (x - samples[2].mean(axis=-1)))


def _ceiling(samples: np.ndarray) -> float:
    """Root of the product of the shares of variance that are no noise."""
    *observed, _ = _moments(samples)
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = 1 - samples[2:].mean(axis=-1) / np.array(observed)
    return float(np.sqrt(np.prod(np.maximum(shares, 0))))


def _interval(
    statistic: Callable[[np.ndarray], np.ndarray], samples: np.ndarray
) -> tuple[float, float]:
    count = samples.shape[-1]
    drawn = np.random.default_rng(_SEED).integers(count, size=(_RESAMPLES, count))
    values = statistic(samples[:, drawn])
    if np.isnan(values).all():
        return np.nan, np.nan
    low, high = np.nanquantile(values, [0.025, 0.975]).tolist()
    return low, high
