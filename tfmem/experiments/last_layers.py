"""Does memorization happen in the last layers (Feldman & Zhang 2020, Sec. 3 and Fig. C.3)?

The paper trains only the last layer on subsets, above a representation learned from everything, and
finds next to none of the memorized examples. A reviewer asked where, in the last two, three, …
layers, memorization then is. Both are by correctness here, whatever the statistic of the run.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.experiments.consistency import Comparison, Rule, Side, consistency, curves
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.retraining import representation_accuracy, retrain
from tfmem.messages.errors import InputError

LAST_LAYER = "Does the last layer memorize?"
LAST_K_LAYERS = "In which layers does memorization happen?"


def last_layer(config: Config, dataset: AnyDataset, predictions: Path, out: Path) -> Outcome:
    """The estimates of the last layer alone against those of the whole network.

    Args:
      config: the run's settings, thresholds of selection, and `experiments.layers`.
      dataset: the examples.
      predictions: the run's.
      out: folder to work in; a call that was stopped is continued.

    Returns:
      Agreement of the two over thresholds, as `consistency` has it, with the threshold of
      `selection`; influence is not conditioned on memorization, as in Fig. C.3. In every row
      `last_trials`, `last_accuracy`, `last_accuracy_sd`, `last_memorized` and `last_pairs`.
    """
    folder = retrain(config, dataset, (1,), out)[1]
    conditioned, free = (
        _compared(config, [predictions, folder / "predictions"], folder, given)
        for given in (True, False)
    )
    whole, last = free.first, free.second
    memorized, recovered = _recovered(free, config)
    said = [
        f"Test accuracy: {last.trials:,} last layers {_accuracy(last)}, the network that gave the "
        f"representation {representation_accuracy(folder):.2%}, {whole.trials:,} whole networks "
        f"{_accuracy(whole)}.",
        f"Memorization ≥ {config.selection.memorization:g}: {last.memorized:,} examples by last "
        f"layers, {memorized:,} by whole networks, {recovered:,} by both.",
        f"Influence ≥ {config.selection.influence:g}: {last.pairs:,} pairs by last layers, "
        f"{whole.pairs:,} by whole networks, {_at(free, config, 'both'):,} by both: "
        f"J = {_at(free, config, 'jaccard'):.2f}, D = {_at(free, config, 'difference'):.2f}. With "
        f"a memorized training example: {conditioned.second.pairs:,} and "
        f"{conditioned.first.pairs:,}.",
    ]
    table = curves(free, config.selection)
    names = {
        "first_name": _described("whole network", whole),
        "second_name": _described("last layer", last),
    }
    numbers = ("trials", "accuracy", "accuracy_sd", "memorized", "pairs")
    alone = {f"last_{name}": getattr(last, name) for name in numbers}
    return Outcome(LAST_LAYER, tuple(said), table.assign(**names, **alone))


def last_k_layers(config: Config, dataset: AnyDataset, predictions: Path, out: Path) -> Outcome:
    """How many of the memorized examples are found by training only the last blocks.

    Args:
      config: the run's settings, thresholds of selection, and `experiments.layers`.
      dataset: the examples.
      predictions: the run's.
      out: folder to work in; a call that was stopped is continued.

    Returns:
      A row for each depth, and one, of depth NaN, for the whole network: there one half of the
      run's trials is the truth for the other half. `memorized` are the examples found at this
      depth, `recovered` those that the whole network memorizes too, `share` of all `expected`, with
      its 95% interval from `low` to `high` (Wilson's); `difference` is the mean absolute difference
      of the estimates over examples memorized by either; `pairs` and `pairs_unconditioned` those
      with influence, with and without a memorized training example.
    """
    depths = sorted(config.experiments.layers.depths)
    folders = retrain(config, dataset, depths, out)
    rows = [
        {"depth": float(depth), **_row(config, [predictions, folder / "predictions"], folder)}
        for depth, folder in folders.items()
    ]
    halves = _row(config, [predictions], out / "halves")
    table = pd.DataFrame([*rows, {"depth": np.nan, **halves}])
    said = [
        f"{_blocks(row['depth'])}: {row['recovered']:,} of {row['expected']:,} memorized examples "
        f"recovered ({row['share']:.0%}; 95% interval {row['low']:.0%} to {row['high']:.0%}), "
        f"{row['memorized'] - row['recovered']:,} others memorized; test accuracy "
        f"{row['accuracy']:.2%} ± {row['accuracy_sd']:.2%} (SD)."
        for row in table.to_dict("records")
    ]
    return Outcome(LAST_K_LAYERS, tuple(said), table)


def _row(config: Config, predictions: list[Path], out: Path) -> dict[str, float]:
    conditioned, free = (_compared(config, predictions, out, given) for given in (True, False))
    expected, recovered = _recovered(free, config)
    found = binomtest(recovered, expected)
    interval = found.proportion_ci(method="wilson")
    second = free.second
    return {
        "trials": second.trials,
        "accuracy": second.accuracy,
        "accuracy_sd": second.accuracy_sd,
        "memorized": second.memorized,
        "expected": expected,
        "recovered": recovered,
        "share": found.statistic,
        "low": interval.low,
        "high": interval.high,
        "difference": _at(free, config, "difference", "memorization"),
        "pairs": conditioned.second.pairs,
        "pairs_unconditioned": second.pairs,
    }


def _compared(config: Config, predictions: list[Path], out: Path, condition: bool) -> Comparison:
    rule = Rule(config.selection.memorization, config.selection.influence, condition)
    (comparison,) = consistency(predictions, out, rule, other_inputs=True)
    return comparison


def _recovered(comparison: Comparison, config: Config) -> tuple[int, int]:
    """Examples that the first side memorizes, and how many of them the second does."""
    expected = comparison.first.memorized
    if not expected:
        raise InputError(
            "the run memorizes no example: expected some with memorization of at least "
            f"selection.memorization, {config.selection.memorization:g}"
        )
    return expected, int(_at(comparison, config, "both", "memorization"))


def _at(comparison: Comparison, config: Config, column: str, estimate: str = "influence") -> float:
    """A column of an agreement at the threshold of selection."""
    curve, threshold = getattr(comparison, estimate), getattr(config.selection, estimate)
    value: float = getattr(curve, column)[np.searchsorted(curve.threshold, threshold)].item()
    return value


def _accuracy(side: Side) -> str:
    return f"{side.accuracy:.2%} ± {side.accuracy_sd:.2%} (SD)"


def _described(name: str, side: Side) -> str:
    return (
        f"{name}: {side.trials:,} trials, {side.pairs:,} pairs, {side.memorized:,} memorized, "
        f"accuracy {side.accuracy:.2%}"
    )


def _blocks(depth: float) -> str:
    if np.isnan(depth):
        return "Whole network (a half of the trials against the other)"
    return "Last layer" if depth == 1 else f"Last {depth:.0f} blocks"
