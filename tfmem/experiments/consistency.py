"""Do two sets of trials find the same (Feldman & Zhang 2020, App. C.1, Figs. C.2 and C.3)?

The two halves of one run show how far its estimates can be trusted, and from which threshold on a
selection is more than noise. Runs of different architectures show what depends on the architecture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.aggregation.held import HeldTrials, count_in_parts
from tfmem.aggregation.held_scores import HeldScores
from tfmem.aggregation.holding import held_measure, hold
from tfmem.aggregation.reading import load_labels
from tfmem.config import SelectionSettings
from tfmem.config.estimates import BOUNDED
from tfmem.estimation.agreement import Agreement, Curve
from tfmem.estimation.differences import Samples, difference, pooled_sd, variance
from tfmem.estimation.estimator import Measure, class_samples, train_samples
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import SHARES, Units, units_of
from tfmem.messages.errors import InputError
from tfmem.planning.power import lemma_bound
from tfmem.store.files import write_atomically
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.spreadsheets import to_csv

_THRESHOLDS = np.arange(1, 101) / 100
_HALVES = "half 1", "half 2"


@dataclass(frozen=True)
class Side:
    """One of the two sets of trials that are compared.

    Attributes:
      name: name of the side.
      trials: number of trials.
      fraction: subset fraction of the trials, as drawn.
      accuracy: mean test accuracy of the models, or their mean score on test examples.
      accuracy_sd: standard deviation of it over trials.
      memorized: number of training examples at or above the threshold of memorization.
      pairs: number of pairs of one class that meet the condition and are at or above the threshold
        of influence.
      score: name of the score; empty where models are right or wrong.
      in_sds: whether estimates are in standard deviations of a score without bounds (Cohen's d).
    """

    name: str
    trials: int
    fraction: float
    accuracy: float
    accuracy_sd: float
    memorized: int
    pairs: int
    score: str = ""
    in_sds: bool = False

    @property
    def units(self) -> Units:
        """The units of the mean over test examples."""
        return units_of(Measure("score", self.score)) if self.score else SHARES

    @property
    def lemma_bound(self) -> float:
        """Lemma 2.1's bound on the root mean square error of one estimate; NaN in SDs.

        The lemma needs values from 0 to 1.
        """
        return math.nan if self.in_sds else lemma_bound(self.trials, self.fraction)


def describe(side: Side) -> str:
    """Describes a side in one line: its trials, selected pairs and accuracy, or mean score."""
    mean = side.units.mean(side.accuracy, 2)
    return f"{side.name}: {side.trials:,} trials, {side.pairs:,} pairs, {side.units.test} {mean}"


@dataclass(frozen=True)
class Errors:
    """How far the estimates of the two sides lie apart.

    Attributes:
      compared: number of estimates that both sides have.
      missing: number of estimates that a side lacks, because an example was in every one of its
        subsets, or in none.
      difference: root mean square difference of the estimates.
      expected: the root mean square difference that sampling variance alone would give.
    """

    compared: int
    missing: int
    difference: float
    expected: float


@dataclass(frozen=True)
class Comparison:
    """Two sides, and how far they agree.

    Attributes:
      first: the side with which others are compared.
      second: the other side.
      memorization: agreement of the memorization of training examples.
      influence: agreement of the influence on test examples of the same class.
      memorization_errors: how far the estimates of memorization lie apart.
      influence_errors: how far the estimates of influence lie apart.
      shared_subsets: number of trials of the second side that have the subset of a trial of the
        first.
    """

    first: Side
    second: Side
    memorization: Curve
    influence: Curve
    memorization_errors: Errors
    influence_errors: Errors
    shared_subsets: int
    rule: Rule

    @property
    def units(self) -> Units:
        """The units of means over test examples."""
        return self.first.units

    @property
    def unit(self) -> str:
        """What follows a threshold in a sentence: ` SD` if estimates are in SDs, else nothing."""
        return " SD" if self.first.in_sds else ""


@dataclass(frozen=True)
class Rule:
    """The rule by which examples and pairs are selected.

    Attributes:
      memorization: least memorization, inclusive; in standard deviations (Cohen's d) where it is
        that of a score without bounds.
      influence: least influence, likewise.
      condition: whether influence counts only where the training example is memorized, by each
        side's own estimate, as in Fig. C.2; Fig. C.3 has no such condition.
    """

    memorization: float = 0.25
    influence: float = 0.15
    condition: bool = True


def rule_of(selection: SelectionSettings, predictions: Path, condition: bool = True) -> Rule:
    """The rule of a run's selection.

    Estimates of a score without bounds are compared in standard deviations. Thresholds in the unit
    of the score say nothing then, and those of the paper take their place, in SDs.

    Args:
      selection: the settings of the selection.
      predictions: the folder with the run's predictions.
      condition: see `Rule`.
    """
    if selection.unit == "score" and held_measure(predictions).statistic not in BOUNDED:
        return Rule(condition=condition)
    return Rule(selection.least_memorization, selection.least_influence, condition)


def consistency(
    predictions: Sequence[Path],
    out: Path,
    rule: Rule = Rule(),
    other_inputs: bool = False,
    names: Sequence[str] | None = None,
) -> list[Comparison]:
    """Compares the first run with each other run, or, if there is only one, its two halves.

    A half takes every second trial, or every second subset if several models share each. Two runs
    at a time are in memory, twice `t (2 n + n') / 8` bytes each, or 32 to 64 times as much if
    records hold scores, which are then compared in place of correctness; influence is compared
    class by class and never held as a whole.

    Args:
      predictions: for each run, the folder with its prediction shards and labels.
      out: receives `consistency.csv`, with `J` and `D` over thresholds, and `errors.csv`.
      rule: the rule of selection.
      other_inputs: whether runs may have been trained on different inputs, such as features of the
        images; labels must agree in any case.
      names: names of the runs; None takes the names of the folders that hold `predictions`.

    Raises:
      InputError: if a run cannot be read or has other data, or if `out` cannot be written.
    """
    first, *others = predictions
    labels = _labels(first)
    held = hold(first)
    if not others:
        halves = held.halves()
        if len(halves[1]) < 2:
            raise InputError(f"{first}: expected at least 4 trials, received {len(held)}")
        comparisons = [_compare(labels, halves, _HALVES, rule)]
    else:
        for other in others:
            _check_same_data(labels, first, _labels(other), other, other_inputs)
        names = names or _names(predictions)
        comparisons = []
        for other, name in zip(others, names[1:], strict=True):
            beside = hold(other)
            if beside.measure._replace(models=held.measure.models) != held.measure:
                raise InputError(
                    f"{other}: expected predictions with {held.measure} as in {first}, received "
                    f"{beside.measure}"
                )
            comparisons.append(_compare(labels, (held, beside), (names[0], name), rule))
    _write(comparisons, out)
    return comparisons


def curves(comparison: Comparison) -> pd.DataFrame:
    """Agreement over thresholds as one table, with the thresholds of the rule in `selection`.

    Returns:
      One row for each estimate (`memorization` or `influence`) and threshold; see `Curve`.
    """
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "estimate": estimate,
                    "selection": getattr(comparison.rule, estimate),
                    **({"unit": "SD"} if comparison.first.in_sds else {}),
                    **vars(getattr(comparison, estimate)),
                }
            )
            for estimate in ("memorization", "influence")
        ],
        ignore_index=True,
    )


def _labels(predictions: Path) -> Labels:
    if not predictions.is_dir():
        raise InputError(f"{predictions}: expected the predictions of a run; found none")
    return load_labels(str(predictions / LABELS_NAME))


def _check_same_data(
    labels: Labels, first: Path, others: Labels, other: Path, other_inputs: bool
) -> None:
    prints = [known.dataset_fingerprint for known in (labels, others)]
    if not other_inputs and all(prints) and prints[0] != prints[1]:
        raise InputError(
            f"{other}: is of other data than {first}: expected fingerprint "
            f"{prints[0].hex()[:16]}, received {prints[1].hex()[:16]}"
        )
    for name in ("train_labels", "test_labels"):
        expected, received = getattr(labels, name), getattr(others, name)
        if not np.array_equal(expected, received):
            raise InputError(
                f"{other}: {name} differ from those of {first} ({len(received):,} and "
                f"{len(expected):,} examples): estimates of different examples cannot be compared"
            )


def _names(predictions: Sequence[Path]) -> list[str]:
    runs = [folder.parent for folder in predictions]
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]


def _compare(
    labels: Labels,
    held: tuple[HeldTrials | HeldScores, HeldTrials | HeldScores],
    names: tuple[str, str],
    rule: Rule,
) -> Comparison:
    memorization = Agreement(np.union1d(_THRESHOLDS, [rule.memorization]))
    influence = Agreement(np.union1d(_THRESHOLDS, [rule.influence]))
    for counts in count_in_parts(labels, [side.counter(labels) for side in held]):
        known, spread = _estimates([train_samples(each.train) for each in counts])
        memorization.add(known[0], known[1], spread)
        may = at_least(known[0], rule.memorization), at_least(known[1], rule.memorization)
        effects, spread = _estimates([class_samples(each) for each in counts])
        influence.add(effects[0], effects[1], spread, may if rule.condition else None)
    curves = memorization.curve(), influence.curve()
    sides = [
        _side(name, trials, labels, curves, which, rule)
        for name, trials, which in zip(names, held, ("first", "second"), strict=True)
    ]
    subsets = [{row.tobytes() for row in side.masks} for side in held]
    return Comparison(
        sides[0],
        sides[1],
        *curves,
        _errors(memorization),
        _errors(influence),
        shared_subsets=len(subsets[0] & subsets[1]),
        rule=rule,
    )


def _estimates(sides: Sequence[Samples]) -> tuple[list[np.ndarray], np.ndarray]:
    """The estimates of both sides, and the variance of their difference.

    Estimates without bounds are in standard deviations (Cohen's d), as far as these are above 0.
    """
    values, spread = [], []
    for side in sides:
        sd = 1.0 if side.width is None else pooled_sd(side)
        with np.errstate(divide="ignore", invalid="ignore"):
            value, of_value = difference(*side).value / sd, variance(*side) / np.square(sd)
        values.append(np.where(np.isinf(value), np.nan, value))
        spread.append(of_value)
    return values, spread[0] + spread[1]


def _side(
    name: str,
    held: HeldTrials | HeldScores,
    labels: Labels,
    curves: tuple[Curve, Curve],
    which: str,
    rule: Rule,
) -> Side:
    accuracy = held.means(len(labels.test_labels))
    memorized, pairs = (
        int(getattr(curve, which)[np.searchsorted(curve.threshold, threshold)])
        for curve, threshold in zip(curves, (rule.memorization, rule.influence), strict=True)
    )
    return Side(
        name=name,
        trials=len(held),
        fraction=float(np.bitwise_count(held.masks).sum(axis=1).mean() / len(labels.train_labels)),
        accuracy=float(accuracy.mean()),
        accuracy_sd=float(accuracy.std(ddof=1)) if len(held) > 1 else math.nan,
        memorized=memorized,
        pairs=pairs,
        score=held.measure.score,
        in_sds=isinstance(held, HeldScores) and held.scales is not None,
    )


def _errors(agreement: Agreement) -> Errors:
    return Errors(agreement.compared, agreement.missing, *agreement.rms())


def _write(comparisons: Sequence[Comparison], out: Path) -> None:
    curves, errors = [], []
    for each in comparisons:
        sides = {"first_name": each.first.name, "second_name": each.second.name}
        for name in ("memorization", "influence"):
            unit = {"unit": "SD"} if each.first.in_sds else {}
            columns = {**sides, "estimate": name, **unit, **vars(getattr(each, name))}
            curves.append(pd.DataFrame(columns))
            errors.append(
                {
                    **sides,
                    "estimate": name,
                    "first_trials": each.first.trials,
                    "second_trials": each.second.trials,
                    "first_lemma_bound": each.first.lemma_bound,
                    "second_lemma_bound": each.second.lemma_bound,
                    **vars(getattr(each, f"{name}_errors")),
                }
            )
    tables = {"consistency": pd.concat(curves), "errors": pd.DataFrame(errors)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, table in tables.items():
            write_atomically(out / f"{name}.csv", to_csv(table, "%.6g"))
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
