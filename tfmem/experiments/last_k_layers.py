"""In which layers does memorization happen?

Feldman & Zhang (2020, Sec. 3) train only the last layer on subsets, above a representation learned
from all examples, and find next to none of the memorized examples. A reviewer asked in which of the
last two, three, … layers memorization happens. Memorization here is by correctness, whatever the
statistic of the run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from scipy.stats import binomtest

from tfmem.config import Config
from tfmem.datasets import StructuredDataset, TextDataset
from tfmem.experiments.checks import right_or_wrong, test_examples, whole_network
from tfmem.experiments.declaration import Asked, Experiment, Given
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.recovery import at_threshold, compared, recovered
from tfmem.experiments.retraining import LayersSettings, retrain
from tfmem.figures.style import BLUE, GREY, ORANGE, VERMILION, new_figure, plain
from tfmem.messages.backends import import_backend
from tfmem.store.artifacts import Predictions


def blocks(asked: Asked[LayersSettings]) -> None:
    """Refuses a network that has no more blocks than `experiments.layers.depths` names."""
    dataset = asked.dataset
    if isinstance(dataset, TextDataset | StructuredDataset):
        return  # the network of an encoder depends on its frozen layers
    import_backend()
    from tfmem.models import build
    from tfmem.models.tails import cut

    model = build(asked.config.model, dataset.input_shape, len(dataset.class_names))
    cut(model, max(asked.settings.depths))


def last_k_layers(given: Given[LayersSettings]) -> Outcome:
    """Counts the memorized examples that training only the last blocks recovers.

    Args:
      given: the run's predictions.

    Returns:
      One row for each depth, and one, with depth NaN, for the whole network, in which one half of
      the run's trials is the truth for the other half. `memorized` is the number of examples that
      are memorized at this depth, `recovered` the number that the whole network memorizes, too, and
      `share` their share of all `expected`, with Wilson's 95% interval from `low` to `high`.
      `difference` is the mean absolute difference of the estimates over examples that either
      memorizes; `pairs` and `pairs_unconditioned` are numbers of pairs with influence, with and
      without the condition that the training example is memorized.
    """
    config, predictions = given.config, given.run.predictions
    depths = sorted(given.settings.depths)
    folders = retrain(config, given.settings, given.dataset, depths, given.folder)
    rows = [
        {"depth": float(depth), **_row(config, [predictions, folder / "predictions"], folder)}
        for depth, folder in folders.items()
    ]
    halves = _row(config, [predictions], given.folder / "halves")
    table = pd.DataFrame([*rows, {"depth": np.nan, **halves}])
    said = [
        f"{_blocks(row['depth'])}: {row['recovered']:,} of {row['expected']:,} memorized examples "
        f"are recovered ({row['share']:.0%}; 95% interval {row['low']:.0%} to {row['high']:.0%}), "
        f"and {row['memorized'] - row['recovered']:,} others are memorized; test accuracy is "
        f"{row['accuracy']:.2%} ± {row['accuracy_sd']:.2%} (SD)."
        for row in table.to_dict("records")
    ]
    return Outcome(tuple(said), table)


def _row(config: Config, predictions: list[Path], out: Path) -> dict[str, float]:
    conditioned, free = (
        compared(config, predictions, out, condition) for condition in (True, False)
    )
    expected, both = recovered(free)
    found = binomtest(both, expected)
    interval = found.proportion_ci(method="wilson")
    second = free.second
    return {
        "trials": second.trials,
        "accuracy": second.accuracy,
        "accuracy_sd": second.accuracy_sd,
        "memorized": second.memorized,
        "expected": expected,
        "recovered": both,
        "share": found.statistic,
        "low": interval.low,
        "high": interval.high,
        "difference": at_threshold(free, "difference", "memorization"),
        "pairs": conditioned.second.pairs,
        "pairs_unconditioned": second.pairs,
    }


def _blocks(depth: float) -> str:
    if np.isnan(depth):
        return "Whole network (one half of the trials against the other)"
    return "Last layer" if depth == 1 else f"Last {depth:.0f} blocks"


def last_k_layers_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws the share of memorized examples that training the last blocks recovers, by depth.

    Args:
      table: the table of `last_k_layers`.
    """
    figure = new_figure(6, 5.5)
    above, below = (
        plain(axes) for axes in figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    )
    depths, whole = table.dropna(subset="depth"), table[table["depth"].isna()].iloc[0]
    end = depths["depth"].max() + 1
    places = [*depths["depth"], end]
    rows = pd.concat([depths, whole.to_frame().T])
    share = rows["share"].astype(float)
    errors = [share - rows["low"].astype(float), rows["high"].astype(float) - share]
    above.errorbar(places, share, errors, fmt="o", color=BLUE, capsize=3)
    above.plot(places[:-1], share[:-1], "-", color=BLUE)
    above.plot(places[-2:], share[-2:], ":", color=BLUE)
    for place, row in zip(places, rows.itertuples(), strict=True):
        above.annotate(
            f"{row.recovered:,.0f} of {row.expected:,.0f}", (place, row.share),
            xytext=(-8, 6), textcoords="offset points", color=GREY, ha="right",
        )  # fmt: skip
    above.set_ylim(0, 1.05)
    above.set_ylabel("memorized examples recovered (95%)")
    above.yaxis.set_major_formatter(PercentFormatter(1))
    others = rows["memorized"] - rows["recovered"]
    width = 0.35
    below.bar([x - width / 2 for x in places], rows["memorized"], width, color=VERMILION,
              label="memorized at this depth")  # fmt: skip
    below.bar([x + width / 2 for x in places], others, width, color=ORANGE,
              label="of them not by the whole network")  # fmt: skip
    below.legend(frameon=False)
    below.set_ylabel("examples")
    names = ["last layer" if x == 1 else f"last {x:.0f}" for x in depths["depth"]]
    below.set_xticks(places, [*names, "all\n(half against half)"])
    below.set_xlim(0.5, end + 0.5)
    below.set_xlabel("trained blocks, above a representation trained on all examples")
    return figure


EXPERIMENT = Experiment(
    name="last-k-layers",
    question="In which layers does memorization happen?",
    source="a question of a reviewer of Feldman & Zhang (2020)",
    trains="one model, and its last blocks in as many trials as the run has, for each depth",
    reading=(
        "Above: the share of memorized examples that are also memorized if only the last blocks "
        "are trained; the last point is what one half of the trials recovers of the other, about "
        "the most that noise allows. Below: how many are memorized at each depth, and how many of "
        "these not by the whole network. The deeper training must begin for the curve to rise, "
        "the deeper memorization happens."
    ),
    settings=LayersSettings,
    needs=(Predictions,),
    sections=("seed", "dataset", "model", "task", "training", "selection"),
    conduct=last_k_layers,
    draw=last_k_layers_figure,
    checks=(right_or_wrong, whole_network, test_examples, blocks),
    section="layers",
    results="findings.md#last-layer-last-k-layers",
)
