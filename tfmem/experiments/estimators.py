"""How near does self-influence come to the subsampled estimator, and what does either cost?

Zheng & Jiang (2022) use self-influence as memorization without this comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from tfmem.estimation.thresholds import at_least
from tfmem.experiments.checks import four_trials, in_memory, right_or_wrong
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.declaration import Experiment, Given, NoSettings
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.ranking import areas
from tfmem.experiments.summed import Summed, records_in, sum_trials
from tfmem.figures.style import BLUE, FAINT, VERMILION, WIDE, new_figure, plain
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Predictions, SelfInfluence, TrialTable
from tfmem.store.json_files import value_of
from tfmem.store.predictions import TrialRecord
from tfmem.store.results import SUMMARY_NAME, read_summary
from tfmem.store.spreadsheets import read_csv

REFERENCES = {
    "memorization": "how often models are right",
    "memorization_of_probability": "the probability of the label",
}
_TOP = 0.1


def estimators(given: Given[NoSettings]) -> Outcome:
    """Compares self-influence with the trials of a run, without training anything.

    Args:
      given: the trials, the time that each took, and self-influence.

    Returns:
      The outcome of `compare`.
    """
    run, kept = given.run, given.places[SelfInfluence.name]
    found = run.memorization["memorization"].to_numpy(float)
    summary, source = read_summary(kept), str(kept / SUMMARY_NAME)
    seconds = value_of(summary, "cpu_seconds", float, source)
    solver = value_of(summary, "estimator", str, source)
    trials = read_csv(given.places[TrialTable.name], ["seconds"])
    cost = (
        f"The subsampled estimator costs {len(trials):,} trainings on "
        f"{given.config.training.fraction:.0%} of the examples, "
        f"{trials['seconds'].sum():,.0f} s in their lanes; self-influence costs one training on "
        f"all examples and {seconds:,.1f} s of processor time for the solver ({solver})."
    )
    threshold, labels = given.config.selection.least_memorization, run.labels.train_labels
    return compare(
        threshold, labels, lambda: records_in(run.predictions), found, cost, run.measure.models
    )


def compare(
    threshold: float,
    labels: np.ndarray,
    records: Callable[[], Iterator[TrialRecord]],
    self_influence: np.ndarray,
    cost: str,
    models: int = 1,
) -> Outcome:
    """Compares the ranks of examples by self-influence with those by trials on random subsets.

    Args:
      threshold: memorization from which an example counts as memorized.
      labels: int64 `[num_train]`.
      records: returns an iterator over the run's trials.
      self_influence: float `[num_train]`; NaN if it is not known.
      cost: a sentence on the cost of both estimators.
      models: number of models that were trained on each subset, all of which are in one half.

    Returns:
      One row for each example: `index`, `label`, `self_influence`, `memorization` by the trials,
      `memorization_of_probability` if records have probabilities, and whether the example is
      `memorized`, by how often models are right.

    Raises:
      InputError: if there are fewer than four trials.
    """
    halves = [sum_trials(_half(records(), half, models), labels) for half in (0, 1)]
    if min(half.counts.num_trials for half in halves) < 2:
        raise InputError("estimators: expected at least 4 trials that did not diverge")
    references = _of(sum_trials(records(), labels))
    of_halves = [_of(half) for half in halves]
    said = []
    for name, reference in references.items():
        said.append(_correlation(name, self_influence, reference, [of[name] for of in of_halves]))
        said += _areas(name, self_influence, reference, threshold)
    memorized = at_least(references["memorization"], threshold)
    table = pd.DataFrame(
        {
            "index": np.arange(len(labels)),
            "label": labels,
            "self_influence": self_influence,
            **references,
            "memorized": memorized,
        }
    )
    return Outcome((*said, cost), table)


def _half(records: Iterable[TrialRecord], half: int, models: int) -> Iterator[TrialRecord]:
    """The trials of every second subset, from the first or the second on."""
    places: dict[int, int] = {}
    for record in records:
        if places.setdefault(record.trial_id // models, len(places)) % 2 == half:
            yield record


def _of(trials: Summed) -> dict[str, np.ndarray]:
    """The estimates from trials with which self-influence is compared, by name."""
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
        return f"{said} Two halves of the trials do not agree: there are too few trials."
    # Spearman & Brown: the correlation that a score without errors would have.
    best = np.sqrt(2 * among / (1 + among))
    return (
        f"{said} The correlation between two halves of the trials is {among:.2f}, so the noise of "
        f"the trials allows at most {best:.2f}."
    )


def _areas(name: str, score: np.ndarray, reference: np.ndarray, threshold: float) -> list[str]:
    """Sentences on how well self-influence finds the memorized examples, and the top 10%."""
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
            said.append(f"By {REFERENCES[name]} there are {found}: too few to rank.")
            continue
        area = areas([score], positive)
        low, high = area.interval(0)
        said.append(
            f"By {REFERENCES[name]} there are {found}; self-influence finds them with an area "
            f"under the ROC curve of {area.area[0]:.3f} ({low:.3f} to {high:.3f})."
        )
    return said


_NAMES = {
    "memorization": "memorization by correctness",
    "memorization_of_probability": "memorization by probability",
}


def estimators_figure(table: pd.DataFrame, _: object) -> Figure:
    """Draws memorization over self-influence for each example; both are equal on the line.

    Args:
      table: the table of `compare`.
    """
    names = [name for name in _NAMES if name in table.columns]
    figure = new_figure(WIDE / 2 * len(names), 4.2)
    most = table["self_influence"].max()
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        plain(axes).plot([0, most], [0, most], color=FAINT, linewidth=1)
        for memorized, color in ((False, BLUE), (True, VERMILION)):
            rows = table[table["memorized"] == memorized]
            axes.plot(
                rows["self_influence"], rows[name], ".", color=color, alpha=0.4, markersize=5,
                markeredgewidth=0, rasterized=True,
                label=f"{'' if memorized else 'not '}memorized ({len(rows):,})",
            )  # fmt: skip
        axes.set_xlabel("self-influence in one model")
        axes.set_ylabel(f"{_NAMES[name]}, from trials")
        known = table[["self_influence", name]].dropna().rank()
        same = (known.nunique() < 2).any()  # no order, hence no correlation
        spearman = np.nan if same else float(known.corr().to_numpy()[0, 1])
        axes.set_title(f"Spearman {spearman:.2f}", fontsize=10)
    axes.legend(frameon=False, fontsize=9, markerscale=2)
    return figure


EXPERIMENT = Experiment(
    name="estimators",
    question="Does self-influence estimate what the subsampled estimator does?",
    source="an assumption of Zheng & Jiang (2022)",
    trains="one model, for self-influence",
    reading=(
        "Each point is a training example; on the line, both estimates are equal. Points that "
        "rise together in one order, however steeply, mean that self-influence ranks examples as "
        "the trials do; a cloud means that it does not."
    ),
    settings=NoSettings,
    needs=(Predictions, TrialTable, SelfInfluence),
    sections=("training", "selection"),
    conduct=estimators,
    draw=estimators_figure,
    checks=(right_or_wrong, four_trials, in_memory),
    results="findings.md#estimators",
    gradients=True,
)
