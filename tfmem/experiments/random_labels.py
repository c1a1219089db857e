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

from tfmem.config.base import Settings
from tfmem.datasets.noise import replace_labels
from tfmem.experiments.checks import right_or_wrong, two_classes
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.summed import Summed, records_in, sum_trials, trials_on
from tfmem.experiments.training import draw, most_memorized, with_trials
from tfmem.figures.style import BLUE, GREY, VERMILION, new_figure, plain
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
      test accuracy before and after.
    """
    settings, dataset = given.settings, given.dataset
    memorization = sum_trials(records_in(given.run.predictions), dataset.train_labels).memorization
    test_accuracy = given.run.trials.query("not diverged")["test_accuracy"].to_numpy(float)
    count = len(memorization)
    number = min(max(1, round(settings.share * count)), count)
    ways = {
        "memorized": most_memorized(memorization, number, "experiments.random_labels.share"),
        "random": draw(given.config, count, 0),
    }
    config = with_trials(given.config, settings.trials)
    before = f"{test_accuracy.mean():.2%} ± {test_accuracy.std(ddof=1):.2%} (SD)"
    said = [
        f"With the original labels, test accuracy is {before} in {len(test_accuracy):,} trials."
    ]
    tables = []
    for way, order in ways.items():
        chosen = order[:number]
        other = replace_labels(dataset, chosen, config.seed)
        trials = trials_on(config, other, given.folder / way)
        changed = np.zeros(count, bool)
        changed[chosen] = True
        columns = {
            "replaced": way,
            "index": np.arange(count),
            "label": other.train_labels,
            "changed": changed,
            "before": memorization,
            "after": trials.memorization,
            "accuracy_in": trials.accuracy_in,
            "test_accuracy_before": test_accuracy.mean(),
            "test_accuracy_after": trials.test_accuracy.mean(),
        }
        tables.append(pd.DataFrame(columns))
        said.append(_finding(tables[-1], way, test_accuracy, trials))
    return Outcome(tuple(said), pd.concat(tables, ignore_index=True))


def _finding(table: pd.DataFrame, way: str, accuracy: np.ndarray, trials: Summed) -> str:
    changed, others = table[table["changed"]], table[~table["changed"]]
    difference = trials.test_accuracy.mean() - accuracy.mean()
    parts = [values.var(ddof=1) / len(values) for values in (trials.test_accuracy, accuracy)]
    which = f"{len(changed):,} {'most memorized' if way == 'memorized' else 'random'} examples"
    return (
        f"When the labels of the {which} are replaced, their memorization changes from "
        f"{_change(changed)}; models trained on them predict "
        f"{changed['accuracy_in'].mean():.0%} of the new labels. Memorization of all other "
        f"examples changes from {_change(others)}. Test accuracy is "
        f"{trials.test_accuracy.mean():.2%} ({100 * difference:+.2f} ± "
        f"{100 * np.sqrt(sum(parts)):.2f} points, SE)."
    )


def _change(rows: pd.DataFrame) -> str:
    before, after = rows["before"].to_numpy(float), rows["after"].to_numpy(float)
    change = (after - before)[~np.isnan(after - before)]
    error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
    return (
        f"{np.nanmean(before):.3f} to {np.nanmean(after):.3f} "
        f"({change.mean():+.3f} ± {error:.3f}, SE over examples)"
    )


_WAYS = {"memorized": "most memorized", "random": "random"}


def random_labels_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws each example's memorization after over that before, one panel for each choice.

    Args:
      table: the table of `random_labels`.
    """
    figure = new_figure(9, 5)
    panels = figure.subplots(1, len(_WAYS), sharex=True, sharey=True)
    for axes, (way, name) in zip(panels, _WAYS.items(), strict=True):
        rows = table[table["replaced"] == way]
        first = rows.iloc[0]
        low, high = rows[["before", "after"]].min().min(), 1.02
        plain(axes).plot([low, high], [low, high], color=GREY, linewidth=0.8)
        means = []
        for changed, color, marker, label in (
            (False, BLUE, "o", "label kept"),
            (True, VERMILION, "^", "label replaced"),
        ):
            part = rows[rows["changed"] == changed]
            means.append(f"{part['before'].mean():.2f} → {part['after'].mean():.2f}")
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
            f"labels of {part['index'].size:,} {name} examples replaced\n"
            f"their memorization {means[1]}, that of others {means[0]}\n"
            f"test accuracy {first['test_accuracy_before']:.2%} → "
            f"{first['test_accuracy_after']:.2%}",
            fontsize=10,
        )
        axes.set_xlabel("memorization before")
    panels[0].set_ylabel("memorization after")
    handles = panels[0].get_legend_handles_labels()
    figure.legend(*handles, frameon=False, loc="outside lower center", ncols=2)
    return figure


EXPERIMENT = Experiment(
    name="random-labels",
    question="What happens to memorization when labels are replaced at random?",
    source="Feldman & Zhang (2020), Sec. 1",
    settings=RandomLabelSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=random_labels,
    draw=random_labels_figure,
    checks=(
        right_or_wrong,
        two_classes,
    ),
)
