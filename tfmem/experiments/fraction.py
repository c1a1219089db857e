"""Which subset fraction m/n gives the best estimates? Feldman & Zhang (2020) take 0.7.

Larger subsets are nearer to the whole set, so memorization is nearer to leave-one-out (less bias);
but each example is then left out of fewer trials (more variance). With t trials the mean squared
error is bias² + variance, and variance is proportional to 1/t, so the best fraction depends on t.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Annotated, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field
from scipy.stats import bootstrap

from tfmem.aggregation.holding import hold, train_counts
from tfmem.aggregation.reading import load_labels
from tfmem.config.base import Positive, Settings
from tfmem.estimation.differences import variance
from tfmem.estimation.estimator import memorization, train_samples
from tfmem.estimation.units import SHARES, Units, units_of
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import independent, train_alone, with_trials, workplace
from tfmem.figures.style import BLUE, FAINT, GREY, ORANGE, VERMILION, WIDE, new_figure, plain
from tfmem.selection.memorized import memorized
from tfmem.store.artifacts import Predictions
from tfmem.store.labels import LABELS_NAME


class FractionSettings(Settings):
    """Which subset fractions are compared.

    Attributes:
      fractions: the subset fractions `m/n`.
      trials: number of trials of each fraction.
      planned_trials: the best fraction is found for each of these numbers of trials.
    """

    fractions: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=2)
    ] = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
    trials: Annotated[int, Field(ge=20)] = 500
    planned_trials: Annotated[tuple[Positive, ...], Field(strict=False, min_length=1)] = (
        100,
        500,
        2000,
        4000,
    )


ERROR = "rmse_"  # prefix of columns of the table, which a number of trials follows
COLUMNS = "index", "leave_one_out", "leave_one_out_variance"  # columns of leave-one-out's table
_RESAMPLES = 2_000
_VALUES = 2**18  # values of resamples that are drawn at a time


@dataclass(frozen=True)
class Estimates:
    """Memorization from trials of one fraction; arrays are float64 `[num_train]`.

    Attributes:
      value: the estimates.
      stderr: their standard errors, never 0.
      variance: unbiased estimates of their variance.
      trials: number of trials that did not diverge.
      accuracy: mean test accuracy of these trials, or mean score.
      memorized: bool, which examples count as memorized.
      units: of the estimates.
    """

    value: np.ndarray
    stderr: np.ndarray
    variance: np.ndarray
    trials: int
    accuracy: float
    memorized: np.ndarray
    units: Units = SHARES


@dataclass(frozen=True)
class Reference:
    """The memorization with which estimates are compared.

    Attributes:
      name: name of the reference.
      index: int64 `[examples]`, the training examples whose memorization is known.
      value: float64 `[examples]`, the memorization of these examples.
      variance: float64 `[examples]`, unbiased estimates of the variance of `value`.
    """

    name: str
    index: np.ndarray
    value: np.ndarray
    variance: np.ndarray


def fraction(given: Given[FractionSettings]) -> Outcome:
    """Measures errors of memorization by subset fraction, and finds the best fraction.

    Memorization is that of the statistic of the run; of probability, it is by correctness.

    Args:
      given: the outcome of leave-one-out, if it was conducted. Estimates are compared with its
        table, or else, on all examples, with the estimates of the largest fraction.

    Returns:
      One row for each fraction: the number of `trials`, their `accuracy` (or `score`), the number
      of `memorized` examples, and the median standard error of all examples (`stderr`) and of the
      memorized ones (`stderr_memorized`). Over the `examples` of the `reference` it holds the mean
      difference (`bias`, with `bias_stderr`), the root mean square difference beyond noise
      (`distance`, with the ends of its 95% interval; 0 if differences are smaller than their
      noise), the root mean variance (`noise`), and columns with the root mean square error for each
      number of trials.
    """
    shares = sorted(set(given.settings.fractions))
    found = [_estimate(given, share) for share in shares]
    known_exactly = given.outcome("leave-one-out", COLUMNS)
    if known_exactly is None:
        last = found[-1]
        known = np.flatnonzero(~np.isnan(last.variance))
        name = f"fraction {shares[-1]:g}"
        reference = Reference(name, known, last.value[known], last.variance[known])
    else:
        columns = (known_exactly.table[name].to_numpy() for name in COLUMNS)
        reference = Reference("leave-one-out", *columns)
    table, best = _compare(given, shares, found, reference)
    return Outcome((*_findings(given.settings, table, found[0].units), best), table)


def _estimate(given: Given[FractionSettings], share: float) -> Estimates:
    """Trains a run with the fraction `share` and a seed of its own, and estimates in memory."""
    own = with_trials(
        independent(given.config, round(share * 10**9)),
        given.settings.trials,
        fraction=share,
        groups=None,
        groups_digest=None,
    )
    out = workplace(given.folder / f"fraction-{share:g}", own, given.dataset)
    out.mkdir(parents=True, exist_ok=True)
    train_alone(own, given.dataset, out)
    folder = out / "predictions"
    labels = load_labels(str(folder / LABELS_NAME))
    held = hold(folder, given.config.estimation.statistic)
    counts = train_counts(held, labels)
    value, spread = memorization(counts), variance(*train_samples(counts))
    mean = float(held.means(len(labels.test_labels)).mean())
    chosen = memorized(counts, given.config.selection)
    units = units_of(held.measure)
    return Estimates(value.value, value.stderr, spread, len(held), mean, chosen, units)


def _compare(
    given: Given[FractionSettings],
    shares: list[float],
    found: list[Estimates],
    reference: Reference,
) -> tuple[pd.DataFrame, str]:
    """The table, and a sentence on the best fraction for each number of trials."""
    units = found[0].units
    planned = np.array(sorted(set(given.settings.planned_trials)))
    index = reference.index
    known = ~np.isnan([each.variance[index] for each in found]).any(axis=0)
    index = index[known]
    noise = np.array([each.variance[index] for each in found])  # [fractions, examples]
    apart = np.array([each.value[index] for each in found]) - reference.value[known]
    squared = apart**2 - noise - reference.variance[known]
    if reference.name != "leave-one-out":
        squared[-1] = 0  # the largest fraction is compared with itself
    one_trial = noise * np.array([each.trials for each in found])[:, None]

    def errors(chosen: np.ndarray) -> np.ndarray:
        """Mean squared errors over examples `[..., examples]`: `[..., fractions, planned]`."""
        bias = np.maximum(np.moveaxis(squared[:, chosen].mean(axis=-1), 0, -1), 0)
        spread = np.moveaxis(one_trial[:, chosen].mean(axis=-1), 0, -1)
        return np.asarray(bias[..., None] + spread[..., None] / planned)

    every = np.arange(len(index))
    error = errors(every)
    best = error.argmin(axis=0)

    def is_best(chosen: np.ndarray, axis: int = -1) -> np.ndarray:
        """Whether the same fractions are best for some examples: `[planned, ...]`."""
        return np.asarray(errors(chosen).argmin(axis=-2) == best, np.float64).T

    again = bootstrap(
        (every,), is_best, vectorized=True, n_resamples=_RESAMPLES,
        batch=max(_VALUES // len(index), 1), method="percentile",
        rng=np.random.default_rng(given.config.seed),
    ).bootstrap_distribution.mean(axis=-1)  # fmt: skip
    middle = squared.mean(axis=1)
    half = NormalDist().inv_cdf(0.975) * squared.std(axis=1, ddof=1) / np.sqrt(len(index))
    table = pd.DataFrame(
        {
            "fraction": shares,
            "trials": [each.trials for each in found],
            units.kind: [each.accuracy for each in found],
            "memorized": [int(each.memorized.sum()) for each in found],
            "stderr": [np.nanmedian(each.stderr) for each in found],
            "stderr_memorized": [
                np.median(each.stderr[each.memorized]) if each.memorized.any() else np.nan
                for each in found
            ],
            "reference": reference.name,
            "examples": len(index),
            "bias": apart.mean(axis=1),
            "bias_stderr": apart.std(axis=1, ddof=1) / np.sqrt(len(index)),
            "distance": np.sqrt(np.maximum(middle, 0)),
            "distance_low": np.sqrt(np.maximum(middle - half, 0)),
            "distance_high": np.sqrt(np.maximum(middle + half, 0)),
            "noise": np.sqrt(noise.mean(axis=1)),
            **({} if units.bounded else {"unit": units.name}),
            **{f"{ERROR}{t}": np.sqrt(error[:, at]) for at, t in enumerate(planned.tolist())},
        }
    )
    said = (
        f"with {t:,} trials {shares[best[at]]:g} (error "
        f"{units.difference(np.sqrt(error[best[at], at]))}; also the best in {again[at]:.0%} of "
        "resamples of the examples)"
        for at, t in enumerate(planned.tolist())
    )
    return table, "The fraction with the least root mean square error: " + ", ".join(said) + "."


def _findings(settings: FractionSettings, table: pd.DataFrame, units: Units) -> list[str]:
    first, three = table.iloc[0], units.difference
    return [
        f"{settings.trials:,} trials of each fraction are compared with "
        f"{first['reference']} on {first['examples']:,} examples.",
        *(
            f"With {row['fraction']:g} n, {row['memorized']:,} examples are memorized, with a "
            f"median standard error of {three(row['stderr_memorized'])}. The mean difference from "
            f"the reference is {'+' if row['bias'] > 0 else ''}{three(row['bias'])} ± "
            f"{three(row['bias_stderr'])} (SE); the root mean square difference beyond noise is "
            f"{three(row['distance'])} ({three(row['distance_low'])} to "
            f"{three(row['distance_high'])})."
            for row in table.to_dict("records")
        ),
    ]


_MARKS = "osD^vPX*"
_ABOVE: dict[str, Any] = {
    "frameon": False, "fontsize": "small", "loc": "lower left", "bbox_to_anchor": (0, 1),
    "borderaxespad": 0,
}  # fmt: skip


def fraction_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the error by fraction, its two parts, and the number of memorized examples.

    Args:
      table: the table of `fraction`.
    """
    of = Units(table["unit"].iloc[0], bounded=False).below if "unit" in table else ""
    figure = new_figure(WIDE, 4.4)
    total, parts, counts = figure.subplots(1, 3)
    shares, reference = table["fraction"], table["reference"].iloc[0]
    columns = [name for name in table if str(name).startswith(ERROR)]
    for number, name in enumerate(columns):
        shade = str(0.75 * (1 - (number + 1) / len(columns)))
        mark, trials = _MARKS[number % len(_MARKS)], int(str(name).removeprefix(ERROR))
        total.plot(shares, table[name], f"{mark}-", color=shade, label=f"{trials:,}", markersize=4)
        best = int(np.argmin(table[name]))
        total.plot(
            shares[best], table[name][best], "o", color=VERMILION, markersize=10, fillstyle="none"
        )
    total.plot([], [], "o", color=VERMILION, markersize=10, fillstyle="none", label="least")
    total.legend(title="trials", ncols=2, **_ABOVE)
    total.set_ylabel(f"root mean square error of memorization{of}")
    parts.axhline(0, color=FAINT, linewidth=1)
    parts.errorbar(
        shares, table["bias"], table["bias_stderr"], fmt="o-", color=BLUE, capsize=3,
        label="mean difference (± 1 SE)",
    )  # fmt: skip
    ends = table["distance"] - table["distance_low"], table["distance_high"] - table["distance"]
    parts.errorbar(
        shares, table["distance"], ends, fmt="s--", color=GREY, capsize=3,
        label="distance beyond noise (95%)",
    )  # fmt: skip
    parts.plot(
        shares,
        table["noise"],
        "D:",
        color=ORANGE,
        label=f"noise of {table['trials'].max():,} trials",
    )
    parts.set_ylabel(f"difference from {reference} ({table['examples'].iloc[0]:,} examples){of}")
    parts.legend(**_ABOVE)
    counts.plot(shares, table["memorized"], "o-", color=VERMILION)
    counts.set_ylabel("memorized training examples")
    for axes in (total, parts, counts):
        axes.set_xlabel("subset fraction m/n")
        plain(axes)
    total.set_ylim(bottom=0)
    counts.set_ylim(bottom=0)
    return figure


EXPERIMENT = Experiment(
    name="fraction",
    question="Which subset fraction gives the best estimates?",
    source="Feldman & Zhang (2020), Sec. 2.2, who take 0.7",
    trains="`trials` models for each fraction",
    reading=(
        "Left: the error of memorization with different numbers of trials; circles mark the best "
        "fraction. Middle: the two parts of the error, of which noise falls with more trials and "
        "the difference from the definition does not. Right: how many examples count as "
        "memorized."
    ),
    settings=FractionSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "estimation", "selection"),
    conduct=fraction,
    draw=fraction_figure,
    uses=("leave-one-out",),
    results="findings.md#fraction",
)
