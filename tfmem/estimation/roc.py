"""ROC curves of an attack on many trials, and their errors, from one count for each trial.

Statistics are rounded to float16, of which there are 65,536, so that the curve over all trials and
examples follows from counts: no statistic is kept, whatever the number of trials and examples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap

_CODES = 1 << 16
_STEP = 32  # codes between thresholds at which each trial's counts are kept, 3% of the statistic
_RESAMPLES = 1000
_BATCH = 50  # resamples at a time


@dataclass(frozen=True)
class Roc:
    """An ROC curve over all trials, at some false-positive rates, with 95% intervals.

    Attributes:
      rates: float64 `[rates]`, false-positive rates.
      tpr: float64 `[rates, 3]`: lower end, estimate, upper end of the true-positive rate.
      auc: float64 `[3]`: lower end, estimate, upper end of the area under the curve.
      members: number of pairs of a trial and an example of its subset.
      others: number of pairs of a trial and another example.
    """

    rates: np.ndarray
    tpr: np.ndarray
    auc: np.ndarray
    members: int
    others: int

    def at(self, rate: float) -> np.ndarray:
        """True-positive rate at one of the false-positive rates: lower end, estimate, upper end."""
        found: np.ndarray = self.tpr[np.flatnonzero(self.rates == rate)[0]]
        return found


class RocCounts:
    """Counts of statistics, of examples that are in a trial's subset and of those that are not."""

    def __init__(self) -> None:
        """Begins without trials."""
        self._counts = np.zeros((2, _CODES), np.int64)
        self._trials: list[np.ndarray] = []

    def add(self, mask: np.ndarray, statistic: np.ndarray) -> None:
        """Adds a trial, or those of one subset, which count as one in errors.

        Args:
          mask: bool `[examples]`, the subset.
          statistic: float `[examples]`, or `[trials, examples]`, high where membership is likely;
            NaN is left out.
        """
        codes, mask = codes_of(statistic), np.broadcast_to(mask, statistic.shape)
        known = ~np.isnan(statistic)
        of_trial = np.stack(
            [np.bincount(codes[known & kind], minlength=_CODES) for kind in (~mask, mask)]
        )
        self._counts += of_trial
        self._trials.append(of_trial.reshape(2, -1, _STEP).sum(axis=2).astype(np.int32))

    def threshold(self, rate: float) -> int:
        """The least code that is reached by at most this share of those who are no members."""
        above = _from_above(self._counts)[0]  # of each code and all higher ones
        return int(_CODES - np.flatnonzero(above <= rate * above[-1])[-1])

    def estimates(self, rates: np.ndarray) -> np.ndarray:
        """The area under the curve, and its true-positive rates, float64 `[1 + rates]`.

        Args:
          rates: float64 `[rates]`, false-positive rates.
        """
        return _curve(_from_above(self._counts), rates)

    def roc(self, rates: np.ndarray, seed: int = 0) -> Roc:
        """The curve, with percentile intervals of a bootstrap over trials.

        Args:
          rates: float64 `[rates]`, false-positive rates; there must be at least two trials.
          seed: seed of the bootstrap.
        """
        estimates = self.estimates(rates)
        counts = np.stack(self._trials)
        counts = counts[:, :, counts.any(axis=(0, 1))]
        trials, flat = len(counts), counts.reshape(len(counts), -1).astype(np.float32)

        def curves(drawn: np.ndarray, axis: int = -1) -> np.ndarray:
            rows = np.atleast_2d(drawn).astype(np.intp)
            times = np.stack([np.bincount(row, minlength=trials) for row in rows])
            sums = (times.astype(np.float32) @ flat).reshape(len(rows), 2, -1)
            return np.stack([_curve(each, rates) for each in _from_above(sums)], axis=1)

        found = bootstrap(
            (np.arange(trials),), curves, vectorized=True, n_resamples=_RESAMPLES,
            batch=_BATCH, method="percentile", rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
        ends = np.stack([found.low, estimates, found.high], axis=-1)
        others, members = self._counts.sum(axis=1).tolist()
        return Roc(rates, ends[1:], ends[0], members, others)


def codes_of(statistic: np.ndarray) -> np.ndarray:
    """Codes of statistics, rounded to float16, in the order of their size: int64, from 0.

    Args:
      statistic: float, of any shape; what is beyond float16 counts as infinite.
    """
    with np.errstate(over="ignore"):
        bits = (np.asarray(statistic) + 0.0).astype(np.float16).view(np.uint16).astype(np.int64)
    return np.where(bits & 0x8000, 0xFFFF - bits, bits + 0x8000)


def _from_above(counts: np.ndarray) -> np.ndarray:
    """How many statistics reach each code, from none to all: `[..., codes + 1]`."""
    summed = np.cumsum(counts[..., ::-1], axis=-1)
    return np.concatenate([np.zeros_like(summed[..., :1]), summed], axis=-1)


def _curve(above: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """The area under a curve, and its true-positive rates at some false-positive rates.

    Between two thresholds the curve is a straight line: the attack that takes either at random.

    Args:
      above: `[2, thresholds]`, how many of those who are no members, and of members, reach each
        threshold, in descending order of the threshold; the last is reached by all.
      rates: float64 `[rates]`.
    """
    fpr, tpr = above / np.maximum(above[:, -1:], 1)
    return np.concatenate([[np.trapezoid(tpr, fpr)], np.interp(rates, fpr, tpr)])
