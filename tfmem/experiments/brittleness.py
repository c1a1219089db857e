"""How many of its most helpful training examples must go until a prediction changes?

For some test examples, models are trained without the training examples that datamodels call the
most helpful, more and more of them (Ilyas et al. 2022, Sec. 4.1; Park et al. 2023, Sec. 4.2).
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from pydantic import Field
from scipy.stats import binomtest

from tfmem.aggregation.held_outputs import outputs_in
from tfmem.config.base import Positive, Settings
from tfmem.datamodels.ridge import ridge
from tfmem.experiments.checks import right_or_wrong, test_examples
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, train_on
from tfmem.figures.style import BLUE, VERMILION, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions

_KEY = 24  # of the draw of test examples, which no other experiment has
_CHANGED = 0.5  # share of models that are wrong


class BrittlenessSettings(Settings):
    """Which predictions are tried, and how much is removed for each.

    Attributes:
      tests: number of test examples, drawn among those that most models predict correctly.
      shares: shares of the training examples that are removed, the most helpful first.
      repeats: number of models that are trained without them, for each test example and share.
    """

    tests: Positive = 20
    shares: Annotated[
        tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(strict=False, min_length=1)
    ] = (0.01, 0.02, 0.05, 0.1, 0.2)
    repeats: Positive = 5


def brittleness(given: Given[BrittlenessSettings]) -> Outcome:
    """Trains models without the training examples that helped a test example most.

    Helpful is what has the largest weight in the test example's datamodel, by ridge regression of
    margins on the subsets of all trials.

    Args:
      given: the run's trials, and model and recipe.

    Returns:
      A row for each test example and share, and `removed`, the number of training examples: how
      often models without the most helpful examples are right (`accuracy`), likewise without as
      many random ones (`random_accuracy`), and whether most of the former are wrong (`changed`).

    Raises:
      InputError: if no test example is predicted correctly by most models.
    """
    settings, dataset = given.settings, given.dataset
    weights = ridge(outputs_in(given.run.predictions, "margin").by_subset()).weights()
    right = outputs_in(given.run.predictions, "correctness").test.mean(axis=0)
    order = draw(given.config, len(right), _KEY)
    tests = order[right[order] > 1 - _CHANGED][: settings.tests]
    if not len(tests):
        raise InputError("brittleness: most models are wrong on every test example")
    count = len(weights)
    numbers = [max(1, round(share * count)) for share in settings.shares]
    every, masks = np.ones(count, bool), []
    for removed in numbers:
        for test in tests:
            without = every.copy()
            without[np.argsort(-weights[:, test], kind="stable")[:removed]] = False
            masks += [without] * settings.repeats
    for number, removed in enumerate(numbers):
        for repeat in range(settings.repeats):
            without = every.copy()
            without[draw(given.config, count, _KEY, number, repeat)[:removed]] = False
            masks.append(without)
    correct = train_on(given.config, dataset, masks, given.folder).test
    helpful = len(numbers) * len(tests) * settings.repeats
    shape = (len(numbers), len(tests), settings.repeats)
    own = correct[:helpful, :][np.arange(helpful), np.tile(np.repeat(tests, shape[2]), shape[0])]
    random = correct[helpful:][:, tests].reshape(shape[0], shape[2], shape[1]).mean(axis=1)
    accuracy = own.reshape(shape).mean(axis=2)
    table = pd.DataFrame(
        {
            "test_index": np.tile(tests, shape[0]),
            "share": np.repeat(settings.shares, shape[1]),
            "removed": np.repeat(numbers, shape[1]),
            "accuracy": accuracy.ravel(),
            "random_accuracy": random.ravel(),
            "changed": accuracy.ravel() < _CHANGED,
        }
    )
    return Outcome(_findings(table, settings.repeats), table)


def _findings(table: pd.DataFrame, repeats: int) -> tuple[str, ...]:
    tests = table["test_index"].nunique()
    said = []
    for (share, removed), rows in table.groupby(["share", "removed"]):
        random = (rows["random_accuracy"] < _CHANGED).sum()
        said.append(
            f"Without the {removed:,} most helpful training examples ({share:.0%}), "
            f"{rows['changed'].sum():,} of {tests:,} predictions change, and models are right in "
            f"{rows['accuracy'].mean():.0%} of cases; without as many random ones, {random:,} "
            f"change ({rows['random_accuracy'].mean():.0%})."
        )
    least = table[table["changed"]].groupby("test_index")["removed"].min()
    if len(least) > tests / 2:
        every = least.reindex(table["test_index"].unique(), fill_value=np.inf)
        said.append(f"The median prediction changes without {every.median():,.0f} examples.")
    said.append(f"A prediction has changed if most of {repeats} models are wrong.")
    return tuple(said)


def brittleness_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the share of predictions that change over the share of examples removed.

    Intervals are Wilson's, over test examples.

    Args:
      table: the table of `brittleness`.
    """
    figure = new_figure(5.5, 4)
    axes = plain(figure.subplots())
    for column, color, line, side, name in (
        ("changed", VERMILION, "o-", 0.98, "without the most helpful examples"),
        ("random", BLUE, "s--", 1.02, "without as many random examples"),
    ):
        changed = table["changed"] if column == "changed" else table["random_accuracy"] < _CHANGED
        groups = changed.groupby(table["share"])
        found = [binomtest(int(each.sum()), len(each)) for _, each in groups]
        shares = np.array([each.statistic for each in found])
        ends = np.array([each.proportion_ci(method="wilson") for each in found])
        axes.errorbar(
            side * np.array(list(groups.groups)), shares, np.abs(ends.T - shares), fmt=line,
            color=color, label=name, capsize=3,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xticks(sorted(table["share"].unique()))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.minorticks_off()
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("training examples removed")
    axes.set_ylabel("predictions that change (95% interval)")
    axes.legend(frameon=False, fontsize=9)
    return figure


EXPERIMENT = Experiment(
    name="brittleness",
    question="How many of its most helpful training examples must go until a prediction changes?",
    source="Ilyas et al. (2022), Sec. 4.1; Park et al. (2023), Sec. 4.2",
    trains="`repeats` models for each test example and share, and as many without random examples",
    reading=(
        "A curve that rises early means that predictions rest on few training examples. The "
        "dashed curve shows what removing as many random examples does; where the two are equal, "
        "the attributions say nothing."
    ),
    settings=BrittlenessSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=brittleness,
    draw=brittleness_figure,
    checks=(test_examples, right_or_wrong),
    results="data-attribution.md#what-was-measured",
)
