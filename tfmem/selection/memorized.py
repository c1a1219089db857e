"""Which training examples count as memorized, by the rule that selects pairs."""

from __future__ import annotations

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.config.estimates import Statistic
from tfmem.estimation.estimator import TrainCounts
from tfmem.estimation.significance import log_mean_p_values, log_p_values, q_values
from tfmem.selection.effects import reaches, spread_of, width_of

RATE = 0.05  # false discovery rate where the rule has neither threshold nor rate


def meets_condition(train: TrainCounts, settings: SelectionSettings) -> np.ndarray:
    """Which training examples may be in pairs, bool `[train]`.

    Args:
      train: sums over trials for the examples.
      settings: the rule of selection, as it was resolved for the statistic.

    Returns:
      Whether memorization can be estimated and reaches the rule's threshold, if it has one.
    """
    estimated = (train.num_in > 0) & (train.num_out > 0)
    if settings.memorization is None:
        return estimated
    return estimated & reaches(
        _covariance(train),
        train.num_in * train.num_out,
        settings.memorization,
        settings.unit,
        train.num_trials,
        spread_of(train, train.num_trials),
        width_of(train.scale),
    )


def memorized(train: TrainCounts, settings: SelectionSettings) -> np.ndarray:
    """Which training examples count as memorized, bool `[train]`.

    These are the examples that reach the rule's threshold of memorization. If it has none, because
    nothing is known of a score's unit, these are the examples whose memorization is above 0 at a
    false discovery rate over all examples. The p-values are those of pairs, with the example itself
    in place of the test example.

    Args:
      train: sums over trials for all training examples.
      settings: the rule of selection; what it leaves to the statistic is filled in.
    """
    settings = settings.resolved(train.measure.statistic)
    estimated = meets_condition(train, settings)
    if settings.memorization is not None:
        return estimated
    if train.uncertain is None:
        counts = train.correct_in, train.num_in, train.correct
        log_p = log_p_values(*counts, train.num_trials, "positive")
    else:
        spread = spread_of(train, train.num_trials)
        deviation = np.sqrt(train.num_in * train.num_out * spread)
        log_p = log_mean_p_values(_covariance(train), deviation, "positive")
    log_p = np.where(estimated, log_p, 0.0)
    return q_values(np.exp(log_p), int(estimated.sum())) <= (settings.fdr or RATE)


def described(settings: SelectionSettings, statistic: Statistic) -> str:
    """What memorized examples are, as the end of a sentence: `memorization of at least 0.25`."""
    settings = settings.resolved(statistic)
    if settings.memorization is None:
        return f"memorization above 0 at a false discovery rate of {settings.fdr or RATE:g}"
    unit = " SD" if settings.unit == "sd" else ""
    return f"memorization of at least {settings.memorization:g}{unit}"


def _covariance(train: TrainCounts) -> np.ndarray:
    return train.num_trials * train.correct_in - train.num_in * train.correct
