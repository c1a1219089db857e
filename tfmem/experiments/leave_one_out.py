"""Do subsampled estimates agree with training again without one example?

The subsampled estimate of memorization compares models trained on 70% of the data. Leave-one-out,
the definition (Feldman & Zhang 2020, eq. 1), compares models trained on all data with models
trained without one example. This experiment measures leave-one-out directly, for examples spread
over the range of memorization.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from tfmem.aggregation.repeats import each_subset
from tfmem.aggregation.values import OneTrial, values_of
from tfmem.config import Config
from tfmem.config.base import Settings
from tfmem.estimation.differences import Samples, difference, variance
from tfmem.estimation.estimator import Measure
from tfmem.estimation.noisy import NoisyComparison, compare_noisy
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run
from tfmem.experiments.training import draw, independent, train_on
from tfmem.figures.style import BLUE, FAINT, GREEN, GREY, ORANGE, VERMILION, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Memorization, Predictions
from tfmem.store.bits import unpack
from tfmem.store.labels import LABELS_NAME
from tfmem.store.shards import shards_in


class LeaveOneOutSettings(Settings):
    """How often models are trained again without one example.

    Attributes:
      examples: number of examples that are left out, spread over the range of memorization.
      repeats: number of models trained without each of these examples.
      repeats_with: number of models trained on all examples, which all comparisons share.
    """

    examples: Annotated[int, Field(ge=4)] = 60
    repeats: Annotated[int, Field(ge=2)] = 40
    repeats_with: Annotated[int, Field(ge=2)] = 200


Columns = dict[str, np.ndarray]
_WITH = 1  # key of the seeds of models on all examples, which differ from those of the others


def leave_one_out(given: Given[LeaveOneOutSettings]) -> Outcome:
    """Measures the memorization of chosen examples by leave-one-out, beside their estimates.

    Examples are chosen by their estimates, so a little of the difference at the top and at the
    bottom is noise of the estimate.

    Args:
      given: memorization, and the trials from which it was estimated.

    Returns:
      One row for each chosen example: its `index`, the reason for which it was chosen (`choice`),
      and its `estimate` and `leave_one_out`, each with a standard error (`_stderr`, never 0, as for
      all estimates) and an unbiased estimate of its variance (`_variance`, 0 if all models agree).
      `mean_variance`, the same in all rows, is the variance of the mean difference of both over
      these examples, which share their models.

    Raises:
      InputError: if there are fewer than three examples with an estimate and its error.
    """
    settings, config = given.settings, given.config
    memorization, estimates = given.run.memorization, known_with_errors(given.run)
    chosen = _choose(config, estimates, settings.examples)
    if len(chosen) < 3:
        raise InputError(f"leave-one-out: {len(chosen)} examples have an estimate, expected 3")
    index, measure = np.array(list(chosen)), given.run.measure
    every = np.arange(len(estimates))
    masks = [every != i for i in index for _ in range(settings.repeats)]
    dataset, folder = given.dataset, given.folder
    trained = train_on(config, dataset, masks, folder / "without", measure).train
    without = trained[np.arange(len(masks)), np.repeat(index, settings.repeats)]
    without = without.reshape(len(index), -1).T
    whole = [np.ones(len(estimates), bool)] * settings.repeats_with
    other = independent(config, _WITH)
    with_all = train_on(other, dataset, whole, folder / "with", measure).train[:, index]
    masks_of, values = _samples(_records(given.run, measure), index, measure)
    columns: dict[str, Any] = {"index": index, "choice": list(chosen.values())}
    if not measure.counted:
        columns |= _named("estimate", *_by_scores(values, masks_of))
        both = np.concatenate([with_all, without])
        trained_on = np.arange(len(both)) < len(with_all)
        columns |= _named("leave_one_out", *_by_scores(both, trained_on[:, None]))
        of_share = with_all.var(axis=0, ddof=1) / len(with_all)
    else:
        right_in, right_out = with_all.sum(axis=0), without.sum(axis=0)
        columns |= _named("estimate", *_by_counts(_counts(memorization.iloc[index])))
        numbers = (np.full(len(index), len(side)) for side in (with_all, without))
        samples = Samples(right_in, next(numbers), right_out, next(numbers))
        columns |= _named("leave_one_out", *_by_counts(samples))
        of_share = _of_share(right_in, settings.repeats_with)
    shared = _mean_variance(masks_of, values) + _of_mean(with_all.mean(axis=1))
    alone = columns["leave_one_out_variance"] - of_share
    columns["mean_variance"] = np.full(len(index), shared + alone.sum() / len(index) ** 2)
    table = pd.DataFrame(columns)
    return Outcome(_findings(given, table), table)


def known_with_errors(run: Run) -> np.ndarray:
    """Memorization, float64 `[num_train]`; NaN where it or its error is not known.

    One score has no variance, so scores take two trials with an example and two without it.
    """
    table = run.memorization
    least = table[["n_in", "n_out"]].min(axis=1)
    return table["memorization"].where(run.measure.counted | (least > 1)).to_numpy(float)


def comparison(table: pd.DataFrame) -> NoisyComparison:
    """How far the column `leave_one_out` of a table follows its column `estimate`."""
    names = "estimate", "leave_one_out"
    values = [table[name].to_numpy(float) for name in names]
    noise = [table[f"{name}_variance"].to_numpy(float) for name in names]
    together = float(table["mean_variance"].iloc[0]) if "mean_variance" in table else None
    return compare_noisy(values[0], values[1], noise[0], noise[1], together)


def _named(name: str, value: np.ndarray, stderr: np.ndarray, noise: np.ndarray) -> Columns:
    return {name: value, f"{name}_stderr": stderr, f"{name}_variance": noise}


def _by_counts(samples: Samples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of shares of right models, their standard errors and unbiased variances."""
    found = difference(*samples)
    return found.value, found.stderr, variance(*samples)


def _by_scores(values: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Differences of mean scores, their standard errors and variances, as Welch's test has them.

    Args:
      values: float64 `[models, chosen]`.
      inside: bool `[models, chosen]`, whether a model was trained on the example.
    """
    inside = np.broadcast_to(inside, values.shape)
    means, noise = [], np.zeros(values.shape[1])
    for side in (inside, ~inside):
        number = side.sum(axis=0)
        mean = np.where(side, values, 0).sum(axis=0) / number
        squares = np.where(side, (values - mean) ** 2, 0).sum(axis=0)
        noise = noise + squares / (number - 1) / number
        means.append(mean)
    return means[0] - means[1], np.sqrt(noise), noise


def _records(run: Run, measure: Measure) -> Iterator[OneTrial]:
    """The trials of a run that did not diverge; the models of one subset are one trial."""
    labels = str(run.predictions / LABELS_NAME)
    for record, _ in each_subset(shards_in(run.predictions), labels, measure):
        yield record


def _samples(
    records: Iterable[OneTrial], index: np.ndarray, measure: Measure
) -> tuple[np.ndarray, np.ndarray]:
    """Which of some examples each trial was trained on, and how well it does on them.

    Args:
      records: the trials.
      index: int64 `[chosen]`, the examples.
      measure: what is taken of records.

    Returns:
      bool and float64, both `[trials, chosen]`.
    """
    masks, values = [], []
    for record in records:
        of_all = values_of(record, f"trial {record.trial_id}", "train", measure)
        masks.append(unpack(record.subset_mask, len(of_all))[index])
        values.append(of_all[index])
    return np.array(masks, bool), np.array(values, float)


def _mean_variance(masks: np.ndarray, values: np.ndarray) -> float:
    """Variance, over trials and subsets, of the mean of the estimates of some examples.

    It is computed by the infinitesimal jackknife. For each example a trial has a residual, divided
    by the number of trials with the example if the trial is one of these, and else by minus the
    number of the others; the trial moves the mean by the mean of these quotients.

    Args:
      masks: bool `[trials, chosen]`, see `_samples`.
      values: float64 `[trials, chosen]`.
    """
    inside = masks.astype(float)
    moved = np.zeros(len(inside))
    for side, sign in ((inside, 1), (1 - inside, -1)):
        number = side.sum(axis=0)
        residual = side * (values - (side * values).sum(axis=0) / number)
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
    """Chooses examples, and returns the reason for each.

    One sixth has the highest estimates (`top`), one sixth the lowest (`bottom`), one half is
    nearest to levels that are evenly spaced in between (`middle`), and the others are `random`. If
    there are no more than `count` examples, the reason is `all`.
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
    """Numbers of models, and of right ones, with the example and without it."""
    share_in, num_in, share_out, num_out = (
        rows[name].to_numpy(float) for name in ("accuracy_in", "n_in", "accuracy_out", "n_out")
    )
    return Samples(np.rint(share_in * num_in), num_in, np.rint(share_out * num_out), num_out)


def _findings(given: Given[LeaveOneOutSettings], table: pd.DataFrame) -> tuple[str, ...]:
    settings, found = given.settings, comparison(table)
    three, two = given.run.units.difference, given.run.units.short
    low, high = found.correlation_ci
    slope_low, slope_high = found.slope_ci
    middle = table[table["choice"] == "middle"]
    alone = middle.drop(columns="mean_variance")  # the column is for the mean over all examples
    within = comparison(alone) if len(middle) > 2 else found
    middle_low, middle_high = within.correlation_ci
    return (
        f"{len(table)} examples have estimates from {two(table['estimate'].min())} to "
        f"{two(table['estimate'].max())}; {settings.repeats} models were trained without each of "
        f"them, and {settings.repeats_with} with all.",
        f"Pearson's correlation is {found.correlation:.3f} (95% interval {low:.3f} to "
        f"{high:.3f}). It would be {found.ceiling:.3f} if noise were the only difference.",
        f"For the {len(middle) or len(table)} examples in the middle alone it is "
        f"{within.correlation:.3f} ({middle_low:.3f} to {middle_high:.3f}), and would be "
        f"{within.ceiling:.3f}.",
        f"The slope of leave-one-out over the estimate is {found.slope:.2f} ({slope_low:.2f} to "
        f"{slope_high:.2f}), corrected for the noise of the estimate.",
        f"Estimates from subsets of {given.config.training.fraction:g} n are larger by "
        f"{three(found.bias)} ± {three(found.bias_stderr)} (mean, SE). The root mean square "
        f"difference is {three(found.rms)}; noise alone would give {three(found.rms_noise)}.",
    )


_CHOICES = {
    "top": (VERMILION, "o", "most memorized"),
    "middle": (ORANGE, "s", "between"),
    "bottom": (BLUE, "^", "least memorized"),
    "random": (GREEN, "D", "random others"),
    "all": (BLUE, "o", "all examples"),
}


def leave_one_out_figure(table: pd.DataFrame, given: Given[LeaveOneOutSettings]) -> Figure:
    """Draws every chosen example with both standard errors, and the line through them.

    Args:
      table: the table of `leave_one_out`.
      given: its inputs.
    """
    of = given.run.units.below
    found = comparison(table)
    figure = new_figure(5.6, 5.6)
    axes = figure.subplots()
    for choice, rows in table.groupby("choice", sort=False):
        color, marker, name = _CHOICES[str(choice)]
        axes.errorbar(
            rows["estimate"], rows["leave_one_out"], rows["leave_one_out_stderr"],
            rows["estimate_stderr"], fmt=marker, color=color, markersize=4, linewidth=0.8,
            label=f"{name} ({len(rows)})",
        )  # fmt: skip
    ends = [min(0.0, table["estimate"].min()), table["estimate"].max()]
    axes.plot(ends, ends, color=FAINT, zorder=0, label="equal")
    x, y = table["estimate"].mean(), table["leave_one_out"].mean()
    fitted = [y + found.slope * (end - x) for end in ends]
    axes.plot(ends, fitted, "--", color=GREY, zorder=1, label=f"slope {found.slope:.2f}")
    axes.set_xlabel(f"subsampled estimate of memorization (± 1 SE){of}")
    axes.set_ylabel(f"leave-one-out (± 1 SE){of}")
    axes.set_title(
        f"Pearson {found.correlation:.3f}, with noise alone {found.ceiling:.3f}", fontsize="medium"
    )
    axes.legend(frameon=False, fontsize="small")
    plain(axes)
    return figure


EXPERIMENT = Experiment(
    name="leave-one-out",
    question="Do the estimates agree with training again without one example?",
    source="Feldman & Zhang (2020), eq. 1",
    trains="`repeats` models without each of `examples` examples, and `repeats_with` on all",
    reading=(
        "Points on the line agree with the definition. Points to the right of it are "
        "overestimated: models trained on part of the data have seen fewer examples that resemble "
        "the one left out. Crosses are standard errors of both sides."
    ),
    settings=LeaveOneOutSettings,
    needs=(Predictions, Memorization),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=leave_one_out,
    draw=leave_one_out_figure,
    results="findings.md#leave-one-out",
)
