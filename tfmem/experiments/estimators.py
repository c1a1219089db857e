"""How near does self-influence come to the subsampled estimator, and what does either cost?

Zheng & Jiang (2022) took self-influence for memorization without the comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.ranking import areas
from tfmem.experiments.summed import Summed, sum_trials
from tfmem.messages.errors import InputError
from tfmem.store.predictions import TrialRecord

QUESTION = "Does self-influence estimate what the subsampled estimator does?"
REFERENCES = {
    "memorization": "how often models are right",
    "memorization_of_probability": "the probability of the label",
}
_TOP = 0.1


def estimators(
    config: Config,
    labels: np.ndarray,
    records: Callable[[], Iterator[TrialRecord]],
    self_influence: np.ndarray,
    cost: str,
) -> Outcome:
    """Ranks of examples by self-influence, and by trials on random subsets.

    Args:
      config: `selection.memorization`.
      labels: int64 `[num_train]`.
      records: begins to read the run's trials.
      self_influence: float `[num_train]`; NaN where it is not known.
      cost: what either took, in a sentence.

    Returns:
      A row for each example: `index`, `label`, `self_influence`, `memorization` by the trials,
      `memorization_of_probability` if records have probabilities, and whether the example is
      `memorized`, by how often models are right.

    Raises:
      InputError: if there are fewer than four trials.
    """
    halves = [sum_trials(islice(records(), start, None, 2), labels) for start in (0, 1)]
    if min(half.counts.num_trials for half in halves) < 2:
        raise InputError("estimators: expected at least 4 trials that did not diverge")
    references = _of(sum_trials(records(), labels))
    of_halves = [_of(half) for half in halves]
    said = []
    for name, reference in references.items():
        said.append(_correlation(name, self_influence, reference, [of[name] for of in of_halves]))
        said += _areas(name, self_influence, reference, config.selection.memorization)
    memorized = at_least(references["memorization"], config.selection.memorization)
    table = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "label": labels,
            "self_influence": self_influence,
            **references,
            "memorized": memorized,
        }
    )
    return Outcome(QUESTION, (*said, cost), table)


def _of(trials: Summed) -> dict[str, np.ndarray]:
    """What self-influence is compared with."""
    found = {"memorization": trials.memorization}
    if trials.confidence_memorization is not None:
        found["memorization_of_probability"] = trials.confidence_memorization
    return found


def _correlation(
    name: str, score: np.ndarray, reference: np.ndarray, halves: list[np.ndarray]
) -> str:
    among = rank_correlation(halves[0], halves[1]).value
    said = (
        f"Rank correlation of self-influence with memorization by {REFERENCES[name]}: "
        f"{rank_correlation(score, reference)}."
    )
    if not among > 0:
        return f"{said} Two halves of the trials do not agree: there are too few."
    # Spearman & Brown: of a score without errors, from how far two halves agree.
    best = np.sqrt(2 * among / (1 + among))
    return (
        f"{said} Two halves of the trials agree by {among:.2f}: their noise allows {best:.2f} at "
        "most."
    )


def _areas(name: str, score: np.ndarray, reference: np.ndarray, threshold: float) -> list[str]:
    """How well self-influence finds what is memorized, and the top 10%."""
    known = ~np.isnan(score) & ~np.isnan(reference)
    score, reference = score[known], reference[known]
    size = max(1, round(_TOP * len(reference)))
    top = np.zeros(len(reference), bool)
    top[np.argsort(-reference, kind="stable")[:size]] = True
    said = []
    for positive, what in (
        (at_least(reference, threshold), f"with memorization ≥ {threshold:g}"),
        (top, f"in the top {_TOP:.0%}"),
    ):
        found = f"{positive.sum():,} of {len(positive):,} examples {what}"
        if not 2 <= positive.sum() <= len(positive) - 2:
            said.append(f"By {REFERENCES[name]} {found}: too few to rank.")
            continue
        area = areas([score], positive)
        low, high = area.interval(0)
        said.append(
            f"By {REFERENCES[name]} {found}: area under the ROC curve of self-influence "
            f"{area.area[0]:.3f} ({low:.3f} to {high:.3f})."
        )
    return said
