"""Chooses pairs among all candidates, and describes the choice in a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.estimation.differences import difference
from tfmem.estimation.estimator import CORRECTNESS, Measure, less
from tfmem.estimation.significance import (
    expected_by_chance,
    expected_means_by_chance,
    expected_scores_by_chance,
    q_values,
)
from tfmem.messages.errors import InputError
from tfmem.selection.candidates import Candidates, concatenate, meets_rule, signed_influence
from tfmem.store.pairs import Pairs


@dataclass(frozen=True)
class Selection:
    """The selected pairs, and the number of pairs that they were selected from.

    Attributes:
      pairs: the selected pairs, most influential first; ties by training, then by test index.
      tested: number of tested pairs, which are those whose training example is memorized.
      expected: number of tested pairs that reach the threshold of influence by chance; NaN if
        unknown.
      measure: what means were taken of.
    """

    pairs: Pairs
    tested: int
    expected: float
    measure: Measure = CORRECTNESS


def choose_pairs(parts: Iterable[Candidates], settings: SelectionSettings) -> Selection:
    """Chooses pairs among all candidates.

    False discovery rates are those of Benjamini & Hochberg over all pairs, in which a pair whose
    training example is not memorized counts as a test with p-value 1. Memorization is estimated
    from the same subsets as influence. If only pairs of memorized examples counted, trials of
    uneven quality would cause false discoveries, because the same trials decide which examples seem
    memorized and which pairs seem related (`benchmarks/power.py` measures it). A p-value remains
    valid if any rule sets it to 1, so the selected pairs have the false discovery rate.

    Args:
      parts: at least one set of candidates.
      settings: the rule of selection.

    Raises:
      InputError: if parts are of different statistics.
    """
    parts = list(parts)
    measures = sorted({str(part.measure) for part in parts})
    if len(measures) > 1 or len({tuple(part.columns) for part in parts}) > 1:
        raise InputError(
            f"influence records of {' and of '.join(measures)}: expected those of one estimation"
        )
    settings = settings.resolved(parts[0].measure.statistic)
    found = concatenate(parts)
    by_rule = meets_rule(found, settings)
    candidate = by_rule | found.significant
    found, by_rule = found.take(candidate), by_rule[candidate]
    tested = int(found.tested.sum())
    q = q_values(found.p_value, int(found.family))
    chosen = np.flatnonzero(by_rule if settings.fdr is None else q <= settings.fdr)
    value = signed_influence(found, settings)[chosen]
    order = np.lexsort((found.test_index[chosen], found.train_index[chosen], -value))
    chosen = chosen[order]
    kept = found.take(chosen)
    influence = difference(
        kept.correct_in,
        kept.num_in,
        kept.correct - kept.correct_in,
        kept.num_out,
        kept.uncertain_in,
        less(kept.uncertain, kept.uncertain_in),
        kept.width,
    )
    pairs = Pairs(
        train_index=kept.train_index,
        test_index=kept.test_index,
        label=kept.label,
        test_label=kept.test_label,
        memorization=kept.memorization,
        influence=influence.value,
        stderr=influence.stderr,
        ci_low=influence.low,
        ci_high=influence.high,
        p_value=kept.p_value,
        log10_p_value=kept.log_p / math.log(10),
        q_value=q[chosen],
    )
    return Selection(pairs, tested, _expected(found, settings), found.measure)


def _expected(found: Candidates, settings: SelectionSettings) -> float:
    """How many tested pairs reach the threshold of influence by chance; NaN if that is unknown."""
    threshold, trials = settings.influence, found.num_trials
    included = round(found.rows_in / max(found.rows, 1))
    if threshold is None:
        return math.nan
    if settings.unit == "sd" or found.width is not None:
        if threshold <= 0:
            return math.nan
        return expected_scores_by_chance(included, found.tested, trials, settings.sign)
    by_chance = expected_by_chance if found.uncertain is None else expected_means_by_chance
    return by_chance(threshold, included, found.tested, trials, settings.sign)


def describe_selection(settings: SelectionSettings, found: Mapping[str, float]) -> str:
    """A line on a selection, with a warning if much of it is noise.

    Args:
      settings: the rule of selection, as it was resolved for the statistic.
      found: the numbers of selected `pairs`, of `tested` pairs, and `expected_by_chance`.
    """
    pairs, expected = found["pairs"], found["expected_by_chance"]
    said = f"{pairs:,} pairs selected among {found['tested']:,}"
    if settings.fdr is not None:
        return f"{said}, at a false discovery rate of {settings.fdr:g} over all pairs"
    if settings.top_k:
        return f"{said}, {settings.top_k} at most for a test example"
    rule = {"positive": "influence >= ", "negative": "influence <= -", "both": "|influence| >= "}
    unit = " SD" if settings.unit == "sd" else ""
    of_rule = f"with {rule[settings.sign]}{settings.least_influence:g}{unit}"
    if math.isnan(expected):
        return f"{said}, {of_rule}"
    number = f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"
    said += f"; {number} {of_rule} are expected by chance"
    if expected > max(1.0, 0.05 * pairs):
        said += "\nwarning: with so few trials this threshold admits noise: select by "
        said += "selection.fdr (--fdr 0.05), or train more"
    return said


def influence_thresholds(settings: SelectionSettings) -> list[float]:
    """The least influences of a selection; empty if pairs are selected by rate, rank or in SDs."""
    if settings.fdr is not None or settings.top_k or settings.unit == "sd":
        return []
    signs = {"positive": [1], "negative": [-1], "both": [-1, 1]}[settings.sign]
    return [sign * settings.least_influence for sign in signs]
