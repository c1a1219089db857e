"""Which subset fraction m/n gives the best estimates? Feldman & Zhang (2020) take 0.7.

Larger subsets are nearer to the whole set, so memorization is nearer to leave-one-out (less bias);
but each example is then left out of fewer trials (more variance). With t trials the mean squared
error is bias² + variance, and variance is proportional to 1/t, so the best fraction depends on t.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

from tfmem.aggregation.held import hold_trials
from tfmem.aggregation.reading import load_labels
from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.estimation.estimator import count_train, memorization, train_samples, variance
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import independent, train_alone, with_trials, workplace
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import shards_in

QUESTION = "Which subset fraction gives the best estimates?"
ERROR = "rmse_"  # columns of the table that begin so say for how many trials
COLUMNS = "index", "leave_one_out", "leave_one_out_variance"  # of leave-one-out's table
_RESAMPLES = 2_000
_VALUES = 2**18  # of resamples that are drawn at a time


@dataclass(frozen=True)
class Estimates:
    """Memorization from trials of one fraction; arrays are float64 `[num_train]`.

    Attributes:
      value: the estimates.
      stderr: their standard errors, never 0.
      variance: unbiased estimates of their variance.
      trials: how many trials did not diverge.
      accuracy: mean test accuracy of those.
    """

    value: np.ndarray
    stderr: np.ndarray
    variance: np.ndarray
    trials: int
    accuracy: float


@dataclass(frozen=True)
class Reference:
    """What estimates are compared with.

    Attributes:
      name: what it is called.
      index: int64 `[examples]`, the training examples that it has.
      value: float64 `[examples]`, their memorization.
      variance: float64 `[examples]`, unbiased estimates of its variance.
    """

    name: str
    index: np.ndarray
    value: np.ndarray
    variance: np.ndarray


def fraction(
    config: Config, dataset: AnyDataset, leave_one_out: pd.DataFrame | None, out: Path
) -> Outcome:
    """Errors of memorization by subset fraction, and the best fraction by number of trials.

    Args:
      config: model, recipe, seed, and `experiments.fraction`.
      dataset: the examples.
      leave_one_out: the table of that experiment, with which estimates are compared; None compares
        with those of the largest fraction, on all examples.
      out: folder for a run of each fraction; a call that was stopped is continued.

    Returns:
      A row for each fraction: how many `trials`, their `accuracy`, how many examples are
      `memorized`, the median standard error of all (`stderr`) and of those (`stderr_memorized`);
      and over the `examples` that the `reference` has the mean difference from it (`bias`, with
      `bias_stderr`), the root mean square difference that is not noise (`distance`, with the ends
      of its 95% interval; 0 if differences are smaller than their noise), the root mean variance
      (`noise`), and the root mean square error of as many trials as the column says.
    """
    settings = config.experiments.fraction
    shares = sorted(set(settings.fractions))
    found = [_estimate(config, dataset, share, out / f"fraction-{share:g}") for share in shares]
    if leave_one_out is None:
        last = found[-1]
        known = np.flatnonzero(~np.isnan(last.variance))
        name = f"fraction {shares[-1]:g}"
        reference = Reference(name, known, last.value[known], last.variance[known])
    else:
        reference = Reference("leave-one-out", *(leave_one_out[c].to_numpy() for c in COLUMNS))
    table, best = _compare(config, shares, found, reference)
    return Outcome(QUESTION, (*_findings(config, table), best), table)


def _estimate(config: Config, dataset: AnyDataset, share: float, out: Path) -> Estimates:
    """Trains a run of a fraction, with a seed of its own, and counts it in memory."""
    own = with_trials(
        independent(config, round(share * 10**9)),
        config.experiments.fraction.trials,
        fraction=share,
        groups=None,
        groups_digest=None,
    )
    out = workplace(out, own, dataset)
    out.mkdir(parents=True, exist_ok=True)
    train_alone(own, dataset, out)
    folder = out / "predictions"
    labels = load_labels(str(folder / LABELS_NAME))
    held = hold_trials(shards_in(folder), str(folder / LABELS_NAME))
    bits = held.turned(labels)
    every = np.arange(len(labels.train_labels))
    counts = count_train(len(held), every, labels.train_labels, bits.masks, bits.train_correct)
    value = memorization(counts)
    spread = variance(*train_samples(counts))
    right = np.bitwise_count(held.test_correct).sum() / (len(held) * len(labels.test_labels))
    return Estimates(value.value, value.stderr, spread, len(held), float(right))


def _compare(
    config: Config, shares: list[float], found: list[Estimates], reference: Reference
) -> tuple[pd.DataFrame, str]:
    """The table, and a sentence on the best fraction for each number of trials."""
    planned = np.array(sorted(set(config.experiments.fraction.planned_trials)))
    index = reference.index
    known = ~np.isnan([each.variance[index] for each in found]).any(axis=0)
    index = index[known]
    noise = np.array([each.variance[index] for each in found])  # [fractions, examples]
    apart = np.array([each.value[index] for each in found]) - reference.value[known]
    squared = apart**2 - noise - reference.variance[known]
    if reference.name != "leave-one-out":
        squared[-1] = 0  # it is compared with itself
    one_trial = noise * np.array([each.trials for each in found])[:, None]

    def errors(chosen: np.ndarray) -> np.ndarray:
        """Mean squared errors over chosen examples `[..., examples]`: [..., fractions, planned]."""
        bias = np.maximum(np.moveaxis(squared[:, chosen].mean(axis=-1), 0, -1), 0)
        spread = np.moveaxis(one_trial[:, chosen].mean(axis=-1), 0, -1)
        return np.asarray(bias[..., None] + spread[..., None] / planned)

    every = np.arange(len(index))
    error = errors(every)
    best = error.argmin(axis=0)

    def is_best(chosen: np.ndarray, axis: int = -1) -> np.ndarray:
        """Whether the same fractions are best for chosen examples: `[planned, ...]`."""
        return np.asarray(errors(chosen).argmin(axis=-2) == best, np.float64).T

    again = bootstrap(
        (every,), is_best, vectorized=True, n_resamples=_RESAMPLES,
        batch=max(_VALUES // len(index), 1), method="percentile",
        rng=np.random.default_rng(config.seed),
    ).bootstrap_distribution.mean(axis=-1)  # fmt: skip
    middle = squared.mean(axis=1)
    half = NormalDist().inv_cdf(0.975) * squared.std(axis=1, ddof=1) / np.sqrt(len(index))
    threshold = config.selection.memorization
    memorized = [at_least(each.value, threshold) for each in found]
    table = pd.DataFrame(
        {
            "fraction": shares,
            "trials": [each.trials for each in found],
            "accuracy": [each.accuracy for each in found],
            "memorized": [int(those.sum()) for those in memorized],
            "stderr": [np.nanmedian(each.stderr) for each in found],
            "stderr_memorized": [
                np.median(each.stderr[those]) if those.any() else np.nan
                for each, those in zip(found, memorized, strict=True)
            ],
            "reference": reference.name,
            "examples": len(index),
            "bias": apart.mean(axis=1),
            "bias_stderr": apart.std(axis=1, ddof=1) / np.sqrt(len(index)),
            "distance": np.sqrt(np.maximum(middle, 0)),
            "distance_low": np.sqrt(np.maximum(middle - half, 0)),
            "distance_high": np.sqrt(np.maximum(middle + half, 0)),
            "noise": np.sqrt(noise.mean(axis=1)),
            **{f"{ERROR}{t}": np.sqrt(error[:, at]) for at, t in enumerate(planned.tolist())},
        }
    )
    said = (
        f"{t:,} trials: {shares[best[at]]:g} ({np.sqrt(error[best[at], at]):.3f}; the same in "
        f"{again[at]:.0%} of resamples of the examples)"
        for at, t in enumerate(planned.tolist())
    )
    return table, "Least root mean square error with " + ", with ".join(said) + "."


def _findings(config: Config, table: pd.DataFrame) -> list[str]:
    first = table.iloc[0]
    return [
        f"{config.experiments.fraction.trials:,} trials of each fraction, compared with "
        f"{first['reference']} on {first['examples']:,} examples.",
        *(
            f"{row['fraction']:g} n: {row['memorized']:,} examples memorized, with a median "
            f"standard error of {row['stderr_memorized']:.3f}; {row['bias']:+.3f} ± "
            f"{row['bias_stderr']:.3f} from the reference in the mean (SE), {row['distance']:.3f} "
            f"({row['distance_low']:.3f} to {row['distance_high']:.3f}) apart beyond noise (root "
            "mean square)."
            for row in table.to_dict("records")
        ),
    ]
