"""What happens to memorization when labels are replaced at random (Feldman & Zhang 2020, Sec. 1)?

In one data set the labels of the most memorized examples are replaced by other classes, in another
those of as many random examples, and trials are run on each of the two.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from pydantic import Field

from tfmem.aggregation.holding import hold
from tfmem.config.base import Settings
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset, has_classes
from tfmem.datasets.noise import exchange_targets, replace_labels
from tfmem.estimation.units import SHARES, Units
from tfmem.experiments.checks import different_labels
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.summed import Means, means_of, means_on
from tfmem.experiments.training import draw, most_memorized, with_trials
from tfmem.figures.style import BLUE, GREY, VERMILION, WIDE, new_figure, plain
from tfmem.store.artifacts import Predictions


class RandomLabelSettings(Settings):
    """Which labels are replaced at random, and how many trials are run with them.

    Attributes:
      share: share of the training examples whose labels are replaced. In one data set these are
        the most memorized examples, in another as many random ones.
      trials: number of models trained on each of the two data sets.
    """

    share: Annotated[float, Field(gt=0, lt=1)] = 0.05
    trials: Annotated[int, Field(ge=2)] = 500


def random_labels(given: Given[RandomLabelSettings]) -> Outcome:
    """Measures memorization and test accuracy before and after labels are replaced.

    Args:
      given: the run's predictions; memorization before the change is by how often its models are
        right, whatever its estimates are of.

    Returns:
      A row for each training example and each way of choosing (`replaced`), `memorized` or
      `random`: its `label` then, whether that is `changed`, memorization `before` and `after`, how
      often models that were trained on it predict it (`accuracy_in`); and in every row the mean
      test accuracy before and after. Where there are no classes, targets are exchanged,
      memorization is that of the score, and columns have `score` in place of `accuracy`.
    """
    settings, dataset = given.settings, given.dataset
    statistic = "correctness" if has_classes(dataset) else given.config.estimation.statistic
    before = means_of(hold(given.run.predictions, statistic), given.run.labels)
    memorization, units = before.memorization, before.units
    count = len(memorization)
    number = min(max(1, round(settings.share * count)), count)
    ways = {
        "memorized": most_memorized(memorization, number, "experiments.random_labels.share"),
        "random": draw(given.config, count, 0),
    }
    config = with_trials(given.config, settings.trials)
    shown = f"{units.mean(before.test.mean(), 2)} ± {units.mean(before.test.std(ddof=1), 2)} (SD)"
    what = "labels" if has_classes(dataset) else "targets"
    said = [
        f"With the original {what}, test {units.test} is {shown} in {len(before.test):,} trials."
    ]
    tables = []
    for way, order in ways.items():
        chosen = order[:number]
        other = _replaced(dataset, chosen, config.seed)
        trials = means_on(config, other, given.folder / way, statistic)
        changed = np.zeros(count, bool)
        changed[chosen] = True
        columns = {
            "replaced": way,
            "index": np.arange(count),
            "label": other.train_labels,
            "changed": changed,
            "before": memorization,
            "after": trials.memorization,
            f"{units.kind}_in": trials.mean_in,
            f"test_{units.kind}_before": before.test.mean(),
            f"test_{units.kind}_after": trials.test.mean(),
            **({} if units.bounded else {"unit": units.name}),
        }
        tables.append(pd.DataFrame(columns))
        said.append(_finding(tables[-1], way, what, before, trials))
    return Outcome(tuple(said), pd.concat(tables, ignore_index=True))


def _replaced(dataset: AnyDataset, chosen: np.ndarray, seed: int) -> AnyDataset:
    """The data set with other labels, or targets, of some training examples."""
    if isinstance(dataset, Dataset | StructuredDataset) and not dataset.has_classes:
        return exchange_targets(dataset, chosen, seed)
    return replace_labels(dataset, chosen, seed)


def _finding(table: pd.DataFrame, way: str, what: str, before: Means, trials: Means) -> str:
    changed, others = table[table["changed"]], table[~table["changed"]]
    units, inside = trials.units, trials.mean_in[table["changed"].to_numpy()]
    difference = trials.test.mean() - before.test.mean()
    error = np.sqrt(sum(each.test.var(ddof=1) / len(each.test) for each in (before, trials)))
    happens = "replaced" if what == "labels" else "exchanged"
    which = f"{len(changed):,} {'most memorized' if way == 'memorized' else 'random'} examples"
    if units.bounded:
        learned = f"models trained on them predict {inside.mean():.0%} of the new {what}"
        apart = f"{100 * difference:+.2f} ± {100 * error:.2f} points"
    else:
        learned = f"in models trained on them the mean {units.name} is {units.mean(inside.mean())}"
        apart = f"{'+' if difference > 0 else ''}{units.mean(difference)} ± {units.mean(error)}"
    return (
        f"When the {what} of the {which} are {happens}, their memorization changes from "
        f"{_change(changed, units)}; {learned}. Memorization of all other "
        f"examples changes from {_change(others, units)}. Test {units.test} is "
        f"{units.mean(trials.test.mean(), 2)} ({apart}, SE)."
    )


def _change(rows: pd.DataFrame, units: Units) -> str:
    before, after = rows["before"].to_numpy(float), rows["after"].to_numpy(float)
    change = (after - before)[~np.isnan(after - before)]
    error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
    mean, three = change.mean(), units.difference
    return (
        f"{three(np.nanmean(before))} to {three(np.nanmean(after))} "
        f"({'+' if mean >= 0 else ''}{three(mean)} ± {three(error)}, SE over examples)"
    )


_WAYS = {"memorized": "most memorized", "random": "random"}


def random_labels_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws each example's memorization after over that before, one panel for each choice.

    Args:
      table: the table of `random_labels`.
    """
    scored = "unit" in table
    units = Units(table["unit"].iloc[0], bounded=False) if scored else SHARES
    what, happens = ("targets", "exchanged") if scored else ("labels", "replaced")
    figure = new_figure(WIDE, 5)
    panels = figure.subplots(1, len(_WAYS), sharex=True, sharey=True)
    for axes, (way, name) in zip(panels, _WAYS.items(), strict=True):
        rows = table[table["replaced"] == way]
        first = rows.iloc[0]
        low, high = rows[["before", "after"]].min().min(), rows[["before", "after"]].max().max()
        high = 1.02 if units.bounded else high
        plain(axes).plot([low, high], [low, high], color=GREY, linewidth=0.8)
        means = []
        for changed, color, marker, label in (
            (False, BLUE, "o", f"{what[:-1]} kept"),
            (True, VERMILION, "^", f"{what[:-1]} {happens}"),
        ):
            part = rows[rows["changed"] == changed]
            ends = (part[when].mean() for when in ("before", "after"))
            means.append(" → ".join(map(units.short, ends)))
            axes.plot(
                part["before"],
                part["after"],
                marker,
                color=color,
                markersize=4,
                alpha=0.5,
                markeredgewidth=0,
                label=label,
            )
        axes.set_title(
            f"{what} of {part['index'].size:,} {name} examples {happens}\n"
            f"their memorization {means[1]}\n"
            f"that of others {means[0]}\n"
            f"test {units.test} {units.mean(first[f'test_{units.kind}_before'], 2)} → "
            f"{units.mean(first[f'test_{units.kind}_after'], 2)}",
            fontsize=10,
        )
        axes.set_xlabel(f"memorization before{units.of}")
    panels[0].set_ylabel("memorization after")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    return figure


EXPERIMENT = Experiment(
    name="random-labels",
    question="What happens to memorization when labels are replaced at random?",
    source="Feldman & Zhang (2020), Sec. 1",
    trains="2 x `trials` models",
    reading=(
        "Each point is an example; above the line, memorization rose. Examples with new labels "
        "that stay near the line were not learned; all others should stay on it, unless wrong "
        "labels hurt their neighbours."
    ),
    settings=RandomLabelSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "estimation"),
    conduct=random_labels,
    draw=random_labels_figure,
    checks=(different_labels,),
    results="findings.md#random-labels",
)
