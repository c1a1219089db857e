"""Would other trials find the same (Feldman & Zhang 2020, App. C.1)? Compares halves of a run."""

from __future__ import annotations

import numpy as np

from tfmem.experiments.checks import four_trials, test_examples
from tfmem.experiments.consistency import consistency, curves, describe, rule_of
from tfmem.experiments.declaration import Experiment, Given, NoSettings
from tfmem.experiments.outcome import Outcome
from tfmem.figures.agreement import agreement_of_table
from tfmem.store.artifacts import Predictions


def halves(given: Given[NoSettings]) -> Outcome:
    """Compares every second trial of a run with the other trials.

    Args:
      given: the run's predictions; the folder receives `consistency.csv` and `errors.csv`.

    Returns:
      The agreement of both halves over thresholds; see `tfmem.experiments.consistency.curves`.

    Raises:
      InputError: if the run has fewer than 4 trials.
    """
    predictions = given.run.predictions
    (found,) = consistency(
        [predictions], given.folder, rule_of(given.config.selection, predictions)
    )
    said = []
    for estimate, of in (("memorization", "examples"), ("influence", "pairs")):
        curve, threshold = getattr(found, estimate), getattr(found.rule, estimate)
        at = int(np.searchsorted(curve.threshold, threshold))
        jaccard, low, high = (
            getattr(curve, name)[at] for name in ("jaccard", "jaccard_low", "jaccard_high")
        )
        said.append(
            f"With {estimate} ≥ {threshold:g}{found.unit}, one half of the trials finds "
            f"{curve.first[at]:,} {of}, the other {curve.second[at]:,}; {curve.both[at]:,} are "
            f"found by both: J = {jaccard:.2f} (95% interval {low:.2f} to {high:.2f}), "
            f"D = {curve.difference[at]:.3f}."
        )
    errors = found.memorization_errors, found.influence_errors
    said.append(
        f"Estimates from all {found.first.trials + found.second.trials:,} trials have a root mean "
        f"square error of {errors[0].difference / 2:.4f}{found.unit} for memorization and "
        f"{errors[1].difference / 2:.4f}{found.unit} for influence within a class: half of the "
        "difference between the two halves."
    )
    names = {"first_name": describe(found.first), "second_name": describe(found.second)}
    return Outcome(tuple(said), curves(found).assign(**names))


EXPERIMENT = Experiment(
    name="halves",
    question="Would other trials find the same?",
    source="Feldman & Zhang (2020), App. C.1, Fig. C.2",
    trains="nothing",
    reading=(
        "Left: J is the share of examples (above) or pairs (below) selected by both halves among "
        "those selected by either, for each threshold. Right: D is the mean difference of their "
        "estimates. Where J is above 0.7 at the threshold, other trials would select much the "
        "same; shades are 95% intervals."
    ),
    settings=NoSettings,
    needs=(Predictions,),
    sections=("selection",),
    conduct=halves,
    draw=agreement_of_table,
    checks=(four_trials, test_examples),
    formerly="consistency",
    results="estimates.md#consistency",
)
