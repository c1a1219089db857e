"""Chooses pairs among all candidates, and describes the choice in a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tfmem.config import SelectionSettings
from tfmem.estimation.estimator import difference, less
from tfmem.estimation.significance import (
    expected_by_chance,
    expected_means_by_chance,
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
    """

    pairs: Pairs
    tested: int
    expected: float


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
    if len({part.uncertain is None for part in parts}) > 1:
        raise InputError(
            "influence records of correctness and of probability: expected those of one statistic"
        )
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
    included = round(found.rows_in / max(found.rows, 1))
    by_chance = expected_by_chance if found.uncertain is None else expected_means_by_chance
    expected = by_chance(
        settings.influence, included, found.tested, found.num_trials, settings.sign
    )
    return Selection(pairs, tested, expected)


def describe_selection(settings: SelectionSettings, found: Mapping[str, float]) -> str:
    """A line on a selection, with a warning if much of it is noise.

    Args:
      settings: the rule of selection.
      found: the numbers of selected `pairs`, of `tested` pairs, and `expected_by_chance`.
    """
    pairs, expected = found["pairs"], found["expected_by_chance"]
    said = f"{pairs:,} pairs selected among {found['tested']:,}"
    if settings.fdr is not None:
        return f"{said}, at a false discovery rate of {settings.fdr:g} over all pairs"
    if settings.top_k:
        return f"{said}, {settings.top_k} at most for a test example"
    rule = {"positive": "influence >= ", "negative": "influence <= -", "both": "|influence| >= "}
    of_rule = f"with {rule[settings.sign]}{settings.influence:g}"
    if math.isnan(expected):
        return f"{said}, {of_rule}"
    number = f"{expected:,.0f}" if expected >= 10 else f"{expected:.2g}"
    said += f"; {number} {of_rule} are expected by chance"
    if expected > max(1.0, 0.05 * pairs):
        said += "\nwarning: with so few trials this threshold admits noise: select by "
        said += "selection.fdr (--fdr 0.05), or train more"
    return said


def influence_thresholds(settings: SelectionSettings) -> list[float]:
    """The least influences of a selection; empty if pairs are selected by rate or by rank."""
    if settings.fdr is not None or settings.top_k:
        return []
    signs = {"positive": [1], "negative": [-1], "both": [-1, 1]}[settings.sign]
    return [sign * settings.influence for sign in signs]
