"""Describes a comparison of runs, or of the halves of one run, in tables and in words."""

from __future__ import annotations

import math

import numpy as np

from tfmem.experiments.consistency import Comparison, Errors
from tfmem.figures.agreement import SUFFICIENT
from tfmem.messages.terminal import PlainTable
from tfmem.planning.power import lemma_bound

_SHORT = {"memorization": "mem", "influence": "infl"}
_SHOWN = {
    "memorization": (0.05, 0.1, 0.25, 0.5, 0.75),
    "influence": (0.05, 0.1, 0.15, 0.2, 0.3, 0.4),
}


def agreement_table(comparison: Comparison) -> PlainTable:
    """A table of the sizes of both sets, `J` and `D` at a few thresholds."""
    table = PlainTable(
        "at or above", "first", "second", "both", "J (95% interval)", "D (95% interval)"
    )
    for estimate, shown in _SHOWN.items():
        curve = getattr(comparison, estimate)
        for threshold in sorted({*shown, getattr(comparison.rule, estimate)}):
            at = int(np.searchsorted(curve.threshold, threshold))
            sizes = curve.first[at], curve.second[at], curve.both[at]
            jaccard = curve.jaccard, curve.jaccard_low, curve.jaccard_high
            difference = curve.difference, curve.difference_low, curve.difference_high
            table.add(
                f"{_SHORT[estimate]} {threshold:g}{comparison.unit}",
                *(f"{size:,}" for size in sizes),
                *(_with_interval(*(part[at] for part in each)) for each in (jaccard, difference)),
            )
    return table


def _with_interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.3f}" + ("" if math.isnan(low) else f" ({low:.3f}, {high:.3f})")


def error_table(comparison: Comparison, halves: bool) -> PlainTable:
    """A table of the differences and errors of the estimates, beside the bound of the theory.

    The bound is left out if estimates are in standard deviations of a score, of which it says
    nothing.
    """
    first, second = comparison.first, comparison.second
    bound = math.hypot(first.lemma_bound, second.lemma_bound)
    kinds = comparison.memorization_errors, comparison.influence_errors
    of_lemma = not comparison.first.in_sds
    names = [f"root mean square{comparison.unit and f' ({comparison.unit.strip()})'}",
             "memorization", "influence", *(["Lemma 2.1 allows"] if of_lemma else [])]  # fmt: skip
    table = PlainTable(*names, left=1)

    def add(name: str, part: str, scale: float, allowed: float | None = None) -> None:
        numbers = [f"{getattr(kind, part) * scale:.4f}" for kind in kinds]
        shown = "" if allowed is None else f"{allowed:.4f}"
        table.add(name, *numbers, *([shown] if of_lemma else []))

    if not halves:
        add("difference", "difference", 1, bound)
        add("of it by sampling alone", "expected", 1)
        return table
    root = math.sqrt(2)
    whole = lemma_bound(first.trials + second.trials, first.fraction)
    add("error of a half, measured", "difference", 1 / root, bound / root)
    add("the same from its variance", "expected", 1 / root)
    add("error of the whole run", "difference", 1 / 2, whole)
    return table


def conclusion(comparison: Comparison) -> list[str]:
    """The conclusions of a comparison, one line for each."""
    curve = comparison.influence
    estimate, low, high = curve.reaches(SUFFICIENT)
    if math.isnan(estimate):
        possible = f" (within the errors, {low:g} might do)" if not math.isnan(low) else ""
        said = [
            f"At no threshold of influence are {SUFFICIENT:.0%} of the pairs that either side "
            f"selects selected by both{possible}."
        ]
    else:
        at = int(np.searchsorted(curve.threshold, estimate))
        sure = "no threshold surely does" if math.isnan(high) else f"{high:g} surely does"
        said = [
            f"Influence {estimate:g}{comparison.unit} is the lowest threshold at which "
            f"{SUFFICIENT:.0%} of the pairs that either side selects are selected by both: "
            f"{curve.both[at]:,} of {curve.either[at]:,} (within the errors, {low:g} might do, and "
            f"{sure})."
        ]
    said += [
        _missing(name, errors)
        for name, errors in (
            ("training examples", comparison.memorization_errors),
            ("pairs", comparison.influence_errors),
        )
        if errors.missing
    ]
    return said


def _missing(name: str, errors: Errors) -> str:
    total = errors.compared + errors.missing
    return (
        f"{errors.missing:,} of {total:,} {name} were left out: on one side their training "
        "example was in every subset, or in none."
    )
