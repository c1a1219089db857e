"""What are the training examples of high-influence pairs worth (Feldman & Zhang 2020, App. C)?

Models are trained on all examples, without the training examples of the pairs, and without as many
random ones. If high influence shows what these examples are for, all accuracy that is lost without
them is lost on the test examples that they influence.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from pydantic import Field

from tfmem.config.base import Settings
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.units import SHARES, Units
from tfmem.experiments.checks import test_examples
from tfmem.experiments.declaration import Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, train_on
from tfmem.figures.style import BLUE, FAINT, GREY, VERMILION, WIDE, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Memorization, Predictions, SelectedPairs


class PairUtilitySettings(Settings):
    """How many models measure the utility of pairs (Feldman & Zhang 2020, App. C).

    Attributes:
      repeats: number of models trained on all examples, as many without the training examples of
        the pairs, and as many without random ones; the paper trained 100 of each.
    """

    repeats: Annotated[int, Field(ge=2)] = 40


_REMOVALS = "none", "pairs", "random"
_NO_PAIRS = (
    "No pair was selected, so there is nothing to remove: more trials find weaker influences, and "
    "selection.influence is what they must reach."
)


def pair_utility(given: Given[PairUtilitySettings]) -> Outcome:
    """Measures accuracy with and without the training examples of the pairs, and where it is lost.

    If memorization is that of a score, the mean score takes the place of accuracy.

    Args:
      given: the selected pairs of a run.

    Returns:
      One row for each way of removing (`none`, `pairs`, or as many `random` examples, drawn anew
      for each model) and each set of test `examples` (`all`, `influenced`, `others`): the number of
      `removed` examples, the `size` of the set, mean and standard deviation over models of the
      `accuracy` (or `score`) on it, the part of the accuracy on `all` test examples that is `lost`
      on the set, and its standard error. Without pairs nothing is trained, and there are no rows.

    Raises:
      InputError: if all training examples are in pairs.
    """
    repeats, pairs = given.settings.repeats, given.run.pairs
    scored = not given.run.units.bounded
    measure, units = (given.run.measure, given.run.units) if scored else (CORRECTNESS, SHARES)
    count = len(given.dataset.train_labels)
    chosen = np.unique(pairs["train_index"].to_numpy())
    if not len(chosen):
        return Outcome((_NO_PAIRS,), pd.DataFrame([], columns=_columns(units)))
    if len(chosen) == count:
        raise InputError(
            f"pair-utility: expected pairs of some of the {count} training examples, received "
            "pairs of all: set selection.influence higher"
        )
    gone = {
        "none": [chosen[:0]] * repeats,
        "pairs": [chosen] * repeats,
        "random": [draw(given.config, count, repeat)[: len(chosen)] for repeat in range(repeats)],
    }
    every = np.arange(count)
    masks = [~np.isin(every, removed) for how in _REMOVALS for removed in gone[how]]
    trained = train_on(given.config, given.dataset, masks, given.folder, measure)
    correct = trained.test.reshape(3, repeats, -1)
    influenced = np.isin(np.arange(correct.shape[-1]), pairs["test_index"].to_numpy())
    sets = {"all": influenced | True, "influenced": influenced, "others": ~influenced}
    rows = []
    for name, members in sets.items():
        size = members.sum() or np.nan  # all test examples may be influenced
        right = correct[:, :, members].sum(axis=2)  # [removals, repeats]
        for how, each in zip(_REMOVALS, right, strict=True):
            error = np.hypot(*(side.std(ddof=1) for side in (right[0], each))) / np.sqrt(repeats)
            rows.append(
                (
                    how,
                    name,
                    len(gone[how][0]),
                    int(members.sum()),
                    repeats,
                    each.mean() / size,
                    each.std(ddof=1) / size,
                    (right[0].mean() - each.mean()) / len(members),
                    0.0 if how == "none" else error / len(members),
                )
            )
    table = pd.DataFrame(rows, columns=_columns(units))
    return Outcome(_findings(table, units), table)


def _columns(units: Units) -> list[str]:
    kind = units.kind
    return ["removal", "examples", "removed", "size", "repeats", kind, f"{kind}_sd", "lost",
            "lost_stderr"]  # fmt: skip


def _findings(table: pd.DataFrame, units: Units) -> tuple[str, ...]:
    kind, points = units.kind, " points" if units.bounded else ""
    rows = {(row["removal"], row["examples"]): row for row in table.to_dict("records")}
    whole = rows["none", "all"]
    what = f"{units.test[0].upper()}{units.test[1:]}"

    def accuracies(how: str) -> str:
        shown = (rows[how, name] for name in ("all", "influenced"))
        return " and ".join(
            f"{units.mean(row[kind], 2)} ± {units.mean(row[f'{kind}_sd'], 2)}" for row in shown
        )

    def lost(how: str, name: str) -> str:
        row = rows[how, name]
        parts = row["lost"], row["lost_stderr"]
        if units.bounded:
            return " ± ".join(f"{100 * part:.2f}" for part in parts)
        return " ± ".join(units.difference(part) for part in parts)

    def where(how: str) -> str:
        return (
            f"{what} on all falls by {lost(how, 'all')}{points} (SE): {lost(how, 'influenced')} "
            f"of them are lost on the influenced examples and {lost(how, 'others')} on the others."
        )

    return (
        f"The {units.test} of {whole['repeats']} models trained on everything, on all "
        f"{whole['size']:,} test examples and on the {rows['none', 'influenced']['size']:,} test "
        f"examples of the pairs: {accuracies('none')} (SD).",
        f"Without the {rows['pairs', 'all']['removed']:,} training examples of the pairs: "
        f"{accuracies('pairs')}. {where('pairs')}",
        f"Without as many random examples: {accuracies('random')}. {where('random')}",
    )


_WAYS = {
    "none": (GREY, "all\ntraining\nexamples"),
    "pairs": (VERMILION, "without\nthose of\nthe pairs"),
    "random": (BLUE, "without\nas many\nrandom"),
}
_SETS = {"all": "all test examples", "influenced": "influenced", "others": "others"}


def pair_utility_figure(table: pd.DataFrame, given: Given[PairUtilitySettings] | None) -> Figure:
    """Draws the accuracy on all and on influenced test examples, and where accuracy is lost.

    Args:
      table: the table of `pair_utility`.
      given: its inputs.
    """
    scored = "score" in table
    units = given.run.units if scored and given is not None else SHARES
    kind, part = units.kind, 100 if units.bounded else 1
    figure = new_figure(WIDE, 3.6)
    if table.empty:
        figure.text(0.5, 0.5, "no pair was selected", ha="center", color=GREY)
        return figure
    *accuracies, losses = figure.subplots(1, 3, width_ratios=[1, 1, 1.3])
    places = list(range(len(_WAYS)))
    for axes, name in zip(accuracies, ("all", "influenced"), strict=True):
        rows = table[table["examples"] == name].set_index("removal").loc[list(_WAYS)]
        for place, (color, _), row in zip(places, _WAYS.values(), rows.itertuples(), strict=True):
            mean, deviation = getattr(row, kind), getattr(row, f"{kind}_sd")
            axes.errorbar(place, mean, deviation, fmt="o", color=color, capsize=4)
        axes.set_xticks(places, [label for _, label in _WAYS.values()], fontsize="small")
        axes.set_xlim(-0.5, len(_WAYS) - 0.5)
        if units.bounded:
            axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.set_title(f"{_SETS[name]} ({rows['size'].iloc[0]:,})", fontsize="medium")
        plain(axes)
    accuracies[0].set_ylabel(f"{units.test} (± 1 SD)")
    for shift, how in ((-0.2, "pairs"), (0.2, "random")):
        rows = table[table["removal"] == how].set_index("examples").loc[list(_SETS)]
        losses.bar(
            [place + shift for place in places],
            part * rows["lost"],
            width=0.36,
            yerr=part * rows["lost_stderr"],
            color=_WAYS[how][0],
            capsize=3,
            label=_WAYS[how][1].replace("\n", " "),
        )
    losses.axhline(0, color=FAINT, linewidth=1)
    losses.margins(y=0.25)
    names = [name.replace(" test ", " test\n") for name in _SETS.values()]
    losses.set_xticks(places, names, fontsize="small")
    losses.set_title(f"{'points' if units.bounded else kind} lost on them", fontsize="medium")
    losses.set_ylabel(f"{'points of ' if units.bounded else ''}{units.test} on all (± 1 SE)")
    losses.legend(frameon=False, fontsize="small")
    plain(losses)
    return figure


EXPERIMENT = Experiment(
    name="pair-utility",
    question="What are the training examples of high-influence pairs worth?",
    source="Feldman & Zhang (2020), App. C",
    trains="3 x `repeats` models",
    reading=(
        "Left and middle: accuracy of models trained on all examples, without those of the pairs, "
        "and without as many random ones. Right: where the accuracy is lost. If the bar of the "
        "others is within its error of 0, these training examples are useful only through their "
        "high influence."
    ),
    settings=PairUtilitySettings,
    needs=(Predictions, Memorization, SelectedPairs),
    sections=("seed", "dataset", "model", "task", "training"),
    conduct=pair_utility,
    draw=pair_utility_figure,
    checks=(test_examples,),
    results="findings.md#pair-utility",
)
