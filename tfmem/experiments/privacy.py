"""Can it be told which examples a model was trained on, and are these the memorized ones?

Every trial is attacked by the likelihood-ratio attack, with all other trials as shadow models.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem.estimation.thresholds import at_least
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Experiment, Given, NoSettings
from tfmem.experiments.membership import EXPOSED, RATES, Attacked, attack, curves
from tfmem.experiments.outcome import Outcome
from tfmem.figures.privacy import privacy_figure
from tfmem.store.artifacts import Memorization, Predictions
from tfmem.store.files import write_atomically
from tfmem.store.spreadsheets import read_csv, to_csv

EXPOSURE_NAME = "exposure.csv"
_FEW = 10  # false positives, below which a rate is hardly known
RATE = f"{100 * RATES[0]:g}%"


def privacy(given: Given[NoSettings]) -> Outcome:
    """Attacks all trials, and compares how exposed examples are with how memorized they are.

    Args:
      given: the run's predictions, which need margins or scores, and its memorization; the folder
        receives `exposure.csv`, a row for each training example (see
        `tfmem.experiments.membership.attack`).

    Returns:
      The ROC curve of each attack; see `tfmem.experiments.membership.curves`.

    Raises:
      InputError: if trials have neither margins nor scores, or are too few.
    """
    found = attack(given.run.predictions)
    exposure, known = found.exposure, given.run.memorization
    exposure.insert(0, "label", known["label"].to_numpy())
    exposure["memorization"] = known["memorization"].to_numpy()
    exposure["memorization_stderr"] = known["stderr"].to_numpy()
    table = exposure.reset_index()
    write_atomically(given.folder / EXPOSURE_NAME, to_csv(table, "%.6g"))
    said = [*_attacks(found), *_relation(exposure, found.signal, _least_memorization(given))]
    said.append(
        "Removing the most exposed examples may expose others that were safe before (the onion "
        "effect): `tfmem experiment onion DIR` trains models without them, and attacks them."
    )
    return Outcome(tuple(said), curves(found.rocs))


def percent(share: np.ndarray) -> str:
    """A share with its interval, as text: lower end, share, upper end."""
    low, middle, high = 100 * share
    return f"{middle:.2f}% ({low:.2f} to {high:.2f})"


def _attacks(found: Attacked) -> list[str]:
    first = next(iter(found.rocs.values()))
    said = [
        f"{found.trials:,} models were attacked by the {found.signal} of each training example, "
        f"with the others as shadow models: {first.members:,} pairs of a model and an example that "
        f"it was trained on, and {first.others:,} other pairs. Intervals are 95% intervals over "
        "models."
    ]
    if (passing := RATES[0] * first.others) < _FEW:
        said.append(
            f"{RATE} of the other pairs are only {passing:.2g}, so that rates at {RATE} are hardly "
            "known: more trials make them known."
        )
    for name, roc in found.rocs.items():
        low, area, high = roc.auc
        rates = (f"{percent(roc.at(rate))} at {100 * rate:g}%" for rate in RATES)
        said.append(
            f"{name}: the true-positive rate is {' and '.join(rates)} false positives, the area "
            f"under the ROC curve {area:.3f} ({low:.3f} to {high:.3f})."
        )
    return said


def _least_memorization(given: Given[NoSettings]) -> float | None:
    """The memorization from which an example counts as memorized; None if no rule says it."""
    rule = given.config.selection
    if given.run.units.bounded:
        return rule.least_memorization
    return rule.memorization if rule.unit == "score" else None


def _relation(exposure: pd.DataFrame, signal: str, threshold: float | None) -> list[str]:
    """How exposure goes with memorization."""
    memorization = exposure["memorization"].to_numpy(float)
    exposed = exposure[EXPOSED].to_numpy(float)
    said = [
        "Rank correlation of memorization with the share of its models in which an example is "
        f"found out at {RATE} false positives: {rank_correlation(memorization, exposed)}; with "
        f"the separation of its {signal}s in models with and without it: "
        f"{rank_correlation(memorization, exposure['separation'].to_numpy(float))}."
    ]
    if threshold is None:
        return said
    memorized = at_least(memorization, threshold)
    times = exposed * exposure["n_in"].to_numpy()
    total = np.nansum(times)
    share = f"{np.nansum(times[memorized]) / total:.0%}" if total else "none"
    said.append(
        f"The {memorized.sum():,} of {len(exposure):,} examples with memorization ≥ {threshold:g} "
        f"are {share} of all that is found out at {RATE}; {int((exposed >= 0.5).sum()):,} "
        "examples are found out in at least half of their models, of which "
        f"{int((memorized & (exposed >= 0.5)).sum()):,} are memorized."
    )
    return said


def _figure(table: pd.DataFrame, given: Given[NoSettings]) -> Figure:
    exposure = read_csv(Path(given.folder) / EXPOSURE_NAME, ("memorization", EXPOSED))
    return privacy_figure(table, exposure, EXPOSED, RATES[0], given.run.units.of)


EXPERIMENT = Experiment(
    name="privacy",
    question="Can it be told which examples a model was trained on?",
    source="Carlini et al. (2022), Alg. 1",
    trains="nothing",
    reading=(
        "Left: the curve of an attack above the dotted line tells members from others; read it at "
        "the left end, where few are accused wrongly. Right: how often each example is found out, "
        "over its memorization. What an attack finds is a lower bound: a better one may find "
        "more."
    ),
    settings=NoSettings,
    needs=(Predictions, Memorization),
    sections=("selection",),
    conduct=privacy,
    draw=_figure,
    results="privacy.md#what-it-finds",
)
