"""Do subsampled estimates agree with training again without one example?

The subsampled estimate of memorization compares models on 70% of the data; leave-one-out, the
definition (Feldman & Zhang 2020, eq. 1), models on all of it and on all but one example. Here it is
measured directly, for examples spread over the range of memorization.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.estimation.estimator import Samples, difference, variance
from tfmem.estimation.noisy import NoisyComparison, compare_noisy
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, independent, train_on
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.predictions import TrialRecord

QUESTION = "Do the estimates agree with training again without one example?"
_WITH = 1  # of the models on everything, whose seeds are not those of the models without


def leave_one_out(
    config: Config,
    dataset: AnyDataset,
    memorization: pd.DataFrame,
    records: Callable[[], Iterable[TrialRecord]],
    out: Path,
) -> Outcome:
    """Memorization of chosen examples by leave-one-out, beside the estimate.

    Examples are chosen by their estimate, so a little of the distance between the two at the top
    and at the bottom is the estimate's noise.

    Args:
      config: model, recipe, seed, and `experiments.leave_one_out`.
      dataset: the examples.
      memorization: estimates by `index`, with `n_in`, `n_out`, `accuracy_in` and `accuracy_out`.
      records: gives the trials that the estimates are from.
      out: folder for the models' predictions; a call that was stopped is continued.

    Returns:
      A row for each chosen example: its `index`, as what it was chosen (`choice`), its `estimate`
      and `leave_one_out`, each with a standard error (`_stderr`, never 0, as of all estimates) and
      an unbiased estimate of its variance (`_variance`, 0 where all models agree);
      `mean_variance`, the same in all rows, is that of the mean difference of the two over these
      examples, which share their models.

    Raises:
      InputError: if there are fewer than three examples with an estimate.
    """
    settings = config.experiments.leave_one_out
    estimates = memorization["memorization"].to_numpy(float)
    chosen = _choose(config, estimates, settings.examples)
    if len(chosen) < 3:
        raise InputError(f"leave-one-out: {len(chosen)} examples have an estimate, expected 3")
    index = np.array(list(chosen))
    every = np.arange(len(estimates))
    masks = [every != i for i in index for _ in range(settings.repeats)]
    without = train_on(config, dataset, masks, out / "without").train_correct
    whole = [np.ones(len(estimates), bool)] * settings.repeats_with
    with_all = train_on(independent(config, _WITH), dataset, whole, out / "with").train_correct
    right_in = with_all[:, index].sum(axis=0)
    right_out = without[np.arange(len(masks)), np.repeat(index, settings.repeats)]
    right_out = right_out.reshape(len(index), -1).sum(axis=1)
    sides: dict[str, Samples] = {
        "estimate": _counts(memorization.iloc[index]),
        "leave_one_out": Samples(
            right_in,
            np.full(len(index), settings.repeats_with),
            right_out,
            np.full(len(index), settings.repeats),
        ),
    }
    columns = {"index": index, "choice": list(chosen.values())}
    for name, counts in sides.items():
        found = difference(*counts)
        columns |= {name: found.value, f"{name}_stderr": found.stderr}
        columns[f"{name}_variance"] = variance(*counts)
    shared = _mean_variance(records(), index) + _of_mean(with_all[:, index].mean(axis=1))
    alone = columns["leave_one_out_variance"] - _of_share(right_in, settings.repeats_with)
    columns["mean_variance"] = np.full(len(index), shared + alone.sum() / len(index) ** 2)
    table = pd.DataFrame(columns)
    return Outcome(QUESTION, _findings(config, table), table)


def comparison(table: pd.DataFrame) -> NoisyComparison:
    """How far the leave-one-out of a table follows its estimates."""
    names = "estimate", "leave_one_out"
    values = [table[name].to_numpy(float) for name in names]
    noise = [table[f"{name}_variance"].to_numpy(float) for name in names]
    together = float(table["mean_variance"].iloc[0]) if "mean_variance" in table else None
    return compare_noisy(values[0], values[1], noise[0], noise[1], together)


def _mean_variance(records: Iterable[TrialRecord], index: np.ndarray) -> float:
    """Variance of the mean of the estimates of some examples, as trials and subsets vary.

    Each trial moves the mean by the mean of its residuals, those of the trials with an example over
    the number of these, less those of the trials without (the infinitesimal jackknife).

    Args:
      records: of all trials.
      index: int64 `[chosen]`.
    """
    masks, right = [], []
    for record in records:
        masks.append(unpack(record.subset_mask, record.num_train)[index])
        right.append(unpack(record.train_correct, record.num_train)[index])
    inside, correct = np.array(masks, float), np.array(right, float)
    moved = np.zeros(len(inside))
    for side, sign in ((inside, 1), (1 - inside, -1)):
        number = side.sum(axis=0)
        residual = side * (correct - (side * correct).sum(axis=0) / number)
        moved += sign * (residual / number).mean(axis=1)
    trials = len(moved)
    return float((moved**2).sum() * trials / (trials - 1))


def _of_share(right: np.ndarray, number: int) -> np.ndarray:
    """Unbiased variance of the share of models that are right."""
    return right / number * (1 - right / number) / (number - 1)


def _of_mean(values: np.ndarray) -> float:
    """Variance of the mean of independent values."""
    return float(values.var(ddof=1) / len(values))


def _choose(config: Config, estimates: np.ndarray, count: int) -> dict[int, str]:
    """Examples, each with what it was chosen as.

    A sixth each are those with the highest estimates (`top`) and the lowest (`bottom`), half those
    nearest to levels evenly spaced between them (`middle`), and the others `random`; or `all`.
    """
    ranked = np.argsort(-estimates, kind="stable")[: int((~np.isnan(estimates)).sum())]
    ends, middle = max(count // 6, 1), count // 2
    if len(ranked) <= count:
        return dict.fromkeys(ranked.tolist(), "all")
    chosen = dict.fromkeys(ranked[:ends].tolist(), "top")
    chosen |= dict.fromkeys(ranked[-ends:].tolist(), "bottom")
    left = ranked[ends:-ends]
    levels = np.linspace(estimates[ranked[ends - 1]], estimates[ranked[-ends]], middle + 2)[1:-1]
    for level in levels:
        nearest = int(np.abs(estimates[left] - level).argmin())
        chosen[int(left[nearest])] = "middle"
        left = np.delete(left, nearest)
    order = draw(config, len(left), 0)[: count - len(chosen)]
    return chosen | dict.fromkeys(left[order].tolist(), "random")


def _counts(rows: pd.DataFrame) -> Samples:
    """How often models were right, and how many there are, with the example and without."""
    share_in, num_in, share_out, num_out = (
        rows[name].to_numpy(float) for name in ("accuracy_in", "n_in", "accuracy_out", "n_out")
    )
    return Samples(np.rint(share_in * num_in), num_in, np.rint(share_out * num_out), num_out)


def _findings(config: Config, table: pd.DataFrame) -> tuple[str, ...]:
    settings, found = config.experiments.leave_one_out, comparison(table)
    low, high = found.correlation_ci
    slope_low, slope_high = found.slope_ci
    middle = table[table["choice"] == "middle"]
    alone = middle.drop(columns="mean_variance")  # that is the mean of all
    within = comparison(alone) if len(middle) > 2 else found
    middle_low, middle_high = within.correlation_ci
    return (
        f"{len(table)} examples with estimates from {table['estimate'].min():.2f} to "
        f"{table['estimate'].max():.2f}; {settings.repeats} models without each, "
        f"{settings.repeats_with} with all.",
        f"Pearson correlation {found.correlation:.3f} (95% interval {low:.3f} to {high:.3f}); were "
        f"both right but for their noise, {found.ceiling:.3f} would be expected.",
        f"Of the {len(middle) or len(table)} in the middle alone {within.correlation:.3f} "
        f"({middle_low:.3f} to {middle_high:.3f}), where {within.ceiling:.3f} would be.",
        f"Leave-one-out rises by {found.slope:.2f} ({slope_low:.2f} to {slope_high:.2f}) for each "
        "1 of the estimate, whose noise is allowed for.",
        f"Estimates from subsets of {config.training.fraction:g} n are larger by "
        f"{found.bias:.3f} ± {found.bias_stderr:.3f} (mean, SE); the root mean square distance is "
        f"{found.rms:.3f}, by noise alone {found.rms_noise:.3f}.",
    )
