"""What is lost without memorized examples (Feldman & Zhang 2020, Sec. 3.2, Fig. 2)?

Models are trained without the most memorized examples, and without as many random ones.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from pydantic import Field

from tfmem.config.base import Settings, Threshold
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import Units
from tfmem.experiments.checks import test_examples
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, most_memorized, train_on
from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain
from tfmem.store.artifacts import Memorization

Thresholds = Annotated[tuple[Threshold, ...], Field(strict=False, min_length=1)]


Shares = Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False)]


class RemovalSettings(Settings):
    """Which examples are removed before models are trained again (Feldman & Zhang 2020, Fig. 2).

    Attributes:
      thresholds: for each, the examples with at least this memorization are removed.
      shares: for each, this share of the training examples is removed, the most memorized first
        (Zheng & Jiang 2022, Fig. 1). If there are shares, they take the place of thresholds; of a
        score without bounds, shares of 5, 10, 20 and 30% do.
      repeats: number of models trained on the examples that each removal leaves.
    """

    thresholds: Thresholds = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    shares: Shares = ()
    repeats: Annotated[int, Field(ge=2)] = 20


_SHARES = (0.05, 0.1, 0.2, 0.3)  # of the most memorized examples, where no threshold is known


def removal(given: Given[RemovalSettings]) -> Outcome:
    """Measures test accuracy without memorized examples, and without as many random ones.

    If memorization is that of a score, the mean score takes the place of accuracy.

    Args:
      given: memorization; examples with NaN are removed only at random.

    Returns:
      One row for each threshold (or share) and each way of removing, `memorized` or `random`, and
      one for the whole set: the number of `removed` examples, the `remaining` share, mean and
      standard deviation of test `accuracy` (or `score`) over repeats, and its standard error.
      `least_memorization` is the lowest memorization of the removed memorized examples.

    Raises:
      InputError: if fewer examples have an estimate than are removed, or if a model diverges.
    """
    settings, config = given.settings, given.config
    memorization = given.run.memorization["memorization"].to_numpy(float)
    count, units = len(memorization), given.run.units
    shares = settings.shares or (() if units.bounded else _SHARES)
    if shares:
        levels = {share: round(share * count) for share in sorted(shares)}
    else:
        levels = {
            threshold: int(at_least(memorization, threshold).sum())
            for threshold in sorted(settings.thresholds)
        }
    ranked = most_memorized(memorization, max(levels.values()), "experiments.removal.shares")
    conditions: list[tuple[float, str, int]] = [(np.nan, "none", 0)]
    for level, removed in levels.items():
        if 0 < removed < count:
            conditions += [(level, "memorized", removed), (level, "random", removed)]
    masks = [
        _without(count, ranked if how == "memorized" else draw(config, count, number, repeat), gone)
        for number, (_, how, gone) in enumerate(conditions)
        for repeat in range(settings.repeats)
    ]
    measure = CORRECTNESS if units.bounded else given.run.measure
    trained = train_on(config, given.dataset, masks, given.folder, measure)
    kind = units.kind
    accuracy = trained.test_mean.reshape(len(conditions), settings.repeats)
    apart = np.ptp(accuracy, axis=1) > 0  # equal models have no deviation by rounding
    deviation = np.where(apart, accuracy.std(axis=1, ddof=1), 0.0)
    table = pd.DataFrame(
        {
            "share" if shares else "threshold": [level for level, _, _ in conditions],
            "removal": [how for _, how, _ in conditions],
            "removed": [gone for _, _, gone in conditions],
            "remaining": [1 - gone / count for _, _, gone in conditions],
            "least_memorization": [
                memorization[ranked[gone - 1]] if how == "memorized" else np.nan
                for _, how, gone in conditions
            ],
            "repeats": settings.repeats,
            kind: accuracy.mean(axis=1),
            f"{kind}_sd": deviation,
            f"{kind}_stderr": deviation / np.sqrt(settings.repeats),
        }
    )
    return Outcome(_findings(table, units), table)


def _kind(table: pd.DataFrame) -> str:
    """What models are compared by: the name of the column."""
    return "score" if "score" in table else "accuracy"


def _without(count: int, order: np.ndarray, removed: int) -> np.ndarray:
    mask = np.ones(count, bool)
    mask[order[:removed]] = False
    return mask


def _findings(table: pd.DataFrame, units: Units) -> tuple[str, ...]:
    level, kind = table.columns[0], _kind(table)
    scored = kind == "score"

    def two(value: float) -> str:
        return units.mean(value, 2) if scored else f"{value:.2%}"

    def points(value: float) -> str:
        return units.difference(value) if scored else f"{100 * value:.2f}"

    what_is_measured = f"mean test score ({units.name})" if scored else "test accuracy"
    whole = table.iloc[0]
    said = [
        f"The {what_is_measured} of {whole['repeats']} models trained on everything is "
        f"{two(whole[kind])} ± {two(whole[f'{kind}_sd'])} (SD)."
    ]
    pairs = table.iloc[1:].set_index([level, "removal"])
    for value in pairs.index.unique(level):
        memorized, random = pairs.loc[(value, "memorized")], pairs.loc[(value, "random")]
        cost = random[kind] - memorized[kind]
        error = np.hypot(memorized[f"{kind}_stderr"], random[f"{kind}_stderr"])
        spread = np.hypot(memorized[f"{kind}_sd"], random[f"{kind}_sd"]) / np.sqrt(2)
        in_sds = f", {cost / spread:.1f} SD of a model" if spread > 0 else ""
        what = "the top" if level == "share" else "examples of memorization ≥"
        shown = f"{100 * value:g}%" if level == "share" else f"{value:g}"
        said.append(
            f"Without {what} {shown} ({int(memorized['removed']):,} removed) it is "
            f"{two(memorized[kind])}, without as many random examples {two(random[kind])}, which "
            f"is {points(cost)} ± {points(error)}{'' if scored else ' points'} higher (SE{in_sds})."
        )
    return tuple(said)


_WAYS = {
    "memorized": (VERMILION, "o-", "without memorized examples"),
    "random": (BLUE, "s--", "without as many random examples"),
}


def removal_figure(table: pd.DataFrame, given: Given[RemovalSettings] | None) -> Figure:
    """Draws test accuracy over the threshold of removal, and below it the share that remains.

    For shares, the lower panel shows the least memorization that is removed (Zheng & Jiang 2022,
    Fig. 1).

    Args:
      table: the table of `removal`.
      given: its inputs.
    """
    level, kind = table.columns[0], _kind(table)
    of = given.run.units.of if given is not None and kind == "score" else ""
    figure = new_figure(6, 5)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    whole = table.iloc[0]
    above.axhline(whole[kind], color=GREY, linewidth=1, label="all examples")
    around = (whole[kind] + sign * whole[f"{kind}_sd"] for sign in (-1, 1))
    above.axhspan(*around, color=GREY, alpha=0.12, linewidth=0)
    for way, (color, line, name) in _WAYS.items():
        rows = table[table["removal"] == way].sort_values(level)
        low, high = (rows[kind] + sign * rows[f"{kind}_sd"] for sign in (-1, 1))
        above.plot(rows[level], rows[kind], line, color=color, label=name)
        above.fill_between(rows[level], low, high, color=color, alpha=0.2, linewidth=0)
    above.set_ylabel(f"test {kind} (± 1 SD){of}")
    if kind == "accuracy":
        above.yaxis.set_major_formatter(PercentFormatter(1))
    above.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    rows = table[table["removal"] == "memorized"].sort_values(level)
    by_share = level == "share"
    shown = "least_memorization" if by_share else "remaining"
    below.plot(rows[level], rows[shown], ".-", color=GREY)
    below.set_ylabel("least removed\nmemorization" if by_share else "remaining")
    if not by_share:
        below.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    below.set_xlabel(
        "share removed" if by_share else "memorization from which examples are removed"
    )
    if by_share:
        below.set_xticks(rows[level])
        below.xaxis.set_major_formatter(PercentFormatter(1))
    plain(above)
    plain(below)
    return figure


EXPERIMENT = Experiment(
    name="removal",
    question="What is lost without memorized examples?",
    source="Feldman & Zhang (2020), Sec. 3.2, Fig. 2; Zheng & Jiang (2022), Fig. 1",
    trains=(
        "`repeats` models for each threshold or share, as many without random examples, and "
        "`repeats` on all"
    ),
    reading=(
        "Read it from right to left: where the curve without memorized examples leaves the other "
        "curve, the removed examples were useful. Below: how much of the training set remains."
    ),
    settings=RemovalSettings,
    needs=(Memorization,),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=removal,
    draw=removal_figure,
    checks=(test_examples,),
    followed_by=("pair-utility",),
    results="findings.md#removal",
)
