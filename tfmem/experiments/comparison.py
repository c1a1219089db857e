"""Compares runs with the first of them in one table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from tfmem.estimation.units import SHARES, Units
from tfmem.experiments.consistency import Comparison, Side
from tfmem.experiments.outcome import Outcome

_ESTIMATES = "memorization", "influence"
_AGREEMENT = ("jaccard", "jaccard_low", "jaccard_high", "difference", "difference_low",
              "difference_high")  # fmt: skip
_LAST = "trials", "accuracy", "accuracy_sd", "memorized", "pairs"
LAST_LAYER_COLUMNS = ("threshold", "selection", *_AGREEMENT, *(f"last_{each}" for each in _LAST))


def comparison_table(halves: Comparison, others: Sequence[Comparison]) -> pd.DataFrame:
    """Makes a table with one row for each model.

    Args:
      halves: the two halves of the reference's own trials.
      others: the reference compared with each other run, at least one.

    Returns:
      `model`, `trials`, test `accuracy` (or mean `score`, if records hold a score) and its standard
      deviation over trials (`_sd`), the numbers of
      `memorized` examples and of `pairs`; and `J` and `D` of the reference and this model, for
      memorization and for influence at the rule's thresholds, with 95% intervals. In the first row,
      `J` and `D` compare the two halves of the reference's trials, which differ by noise alone; a
      half has twice the noise variance of the whole.
    """
    sides = [others[0].first, *(each.second for each in others)]
    return pd.DataFrame(
        [
            {**_numbers(side), **_agreement(each)}
            for side, each in zip(sides, [halves, *others], strict=True)
        ]
    )


def last_layer_row(outcome: Outcome, reference: str) -> pd.DataFrame:
    """Makes the row of the last layer; its pairs need no memorized training example (Fig. C.3)."""
    rows = outcome.table.set_index("estimate")
    columns: dict[str, Any] = {"model": f"last layer of {reference}"}
    for name in _LAST:
        columns[name] = rows[f"last_{name}"].iloc[0]
    for estimate in _ESTIMATES:
        curve = rows.loc[estimate]
        at = np.searchsorted(curve["threshold"].to_numpy(), curve["selection"].iloc[0])
        columns |= {f"{estimate}_{name}": curve[name].iloc[at] for name in _AGREEMENT}
    return pd.DataFrame([columns])


def _numbers(side: Side) -> dict[str, Any]:
    return {
        "model": side.name,
        "trials": side.trials,
        side.units.kind: side.accuracy,
        f"{side.units.kind}_sd": side.accuracy_sd,
        "memorized": side.memorized,
        "pairs": side.pairs,
    }


def _agreement(comparison: Comparison) -> dict[str, float]:
    found: dict[str, float] = {}
    for estimate in _ESTIMATES:
        curve = getattr(comparison, estimate)
        at = np.searchsorted(curve.threshold, getattr(comparison.rule, estimate))
        found |= {f"{estimate}_{name}": getattr(curve, name)[at].item() for name in _AGREEMENT}
    return found


def in_words(table: pd.DataFrame, units: Units = SHARES) -> list[str]:
    """Returns a line for each model."""
    kind = units.kind
    return [
        f"{row['model']}: test {units.test} {units.mean(row[kind], 2)} ± "
        f"{units.mean(row[f'{kind}_sd'], 2)} (SD), {row['memorized']:,.0f} memorized examples, "
        f"{row['pairs']:,.0f} pairs; "
        + ("between halves of its trials " if number == 0 else "")
        + ", ".join(
            f"{estimate} J = {row[f'{estimate}_jaccard']:.2f}, "
            f"D = {row[f'{estimate}_difference']:.2f}"
            for estimate in _ESTIMATES
        )
        for number, row in enumerate(table.to_dict("records"))
    ]
