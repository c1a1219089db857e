"""The evidence of an audit: many trials, or one model and influence functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfmem.aggregation.holding import held_measure, hold, train_counts
from tfmem.audit.effects import effects, large, ranked
from tfmem.audit.scored import far_off, score_effects
from tfmem.config import AuditSettings, Config
from tfmem.datasets import has_classes
from tfmem.estimation.estimator import PROBABILITY
from tfmem.estimation.thresholds import at_least
from tfmem.estimation.units import Units, units_of
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in, sum_trials
from tfmem.selection.memorized import described, memorized
from tfmem.store.pairs import ModelInfluence

LEAST_TRIALS = 10  # subsets without an example; with fewer, accuracy on it says little
Effects = Callable[[np.ndarray], tuple[pd.DataFrame, np.ndarray]]


@dataclass(frozen=True)
class Rules:
    """The thresholds by which an audit tells examples apart, in words.

    Attributes:
      memorized: what memorized examples have, such as `memorization of at least 0.25`.
      helped: by how much the means of a test example differ if it is helped or harmed; empty if
        significance alone decides.
      refused: what models without an example to check do.
    """

    memorized: str
    helped: str
    refused: str


@dataclass(frozen=True)
class Evidence:
    """What is known about the training examples.

    Attributes:
      memorization: one row for each example, by `index`: `label`, `memorization`, `ci_low`,
        `ci_high`, `accuracy_in`, `accuracy_out` (of a score `score_in` and `score_out`) and
        `n_out`, the number of models without it. Unknown values are NaN; an unknown `n_out` is 0.
      memorized: bool `[num_train]`, which examples count as memorized.
      refused: bool `[num_train]`, whether models without an example hardly ever predict its label,
        or are far off its target.
      confidence: `[num_train]`, mean probability of the label by models without the example; None
        if it is not known.
      effects: a function from training examples to their influences on test examples (see
        `tfmem.audit.effects`) and to how often models are right on these, float64 `[num_test]`.
      units: what accuracies, or scores, are means of.
      rules: the thresholds of the findings in words.
      source: a sentence that says where the evidence is from.
      trials: number of trials; 0 if the evidence is from one model.
    """

    memorization: pd.DataFrame
    memorized: np.ndarray
    refused: np.ndarray
    confidence: np.ndarray | None
    effects: Effects
    units: Units
    rules: Rules
    source: str
    trials: int


def of_trials(run: Run, config: Config) -> Evidence:
    """Collects evidence from the trials of a run.

    Args:
      run: the run, with memorization and trials.
      config: the settings, of which `selection.influence` and `experiments.audit` count.

    Raises:
      InputError: if the run cannot be read.
    """
    if not (run.units.bounded and has_classes(run.dataset)):
        return _of_scores(run, config)
    settings, known = config.experiments.audit, run.memorization
    trials = sum_trials(records_in(run.predictions), run.dataset.train_labels)
    count, share = trials.counts.num_trials, config.training.fraction

    def on_tests(chosen: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        least = config.selection.least_influence
        if held_measure(run.predictions, "correctness").counted:
            return effects(run.predictions, chosen, least, settings.fdr)
        held, data = hold(run.predictions, "correctness"), run.dataset
        labels = data.train_labels, data.test_labels
        found, means = score_effects(held, chosen, *labels, least, settings.fdr)
        return ranked(found), means

    return Evidence(
        memorization=_with_models(known, run),
        memorized=run.memorized_by(config.selection),
        refused=refused(known, settings),
        confidence=trials.held_out_confidence,
        effects=on_tests,
        units=run.units,
        rules=Rules(
            described(config.selection, run.statistic),
            f"{config.selection.least_influence:.0%}",
            f"predict its label in at most {settings.held_out:.0%} of the cases (of at least "
            f"{run.measure.models * LEAST_TRIALS} networks)",
        ),
        source=(
            f"{count:,} networks ({config.model.name}) were trained on random {share:.0%} of the "
            f"{len(known):,} training examples. For each example, networks that were trained on it "
            "are compared with networks that were not: how often is either right on it?"
        ),
        trials=count,
    )


def _of_scores(run: Run, config: Config) -> Evidence:
    """Collects evidence from trials that are compared by a score, or have no classes."""
    settings, known, units = config.experiments.audit, run.memorization, run.units
    held = hold(run.predictions, run.statistic)
    data, mean_out = run.dataset, f"{units.kind}_out"
    enough = (known["n_out"] >= LEAST_TRIALS).to_numpy()
    if units.bounded:
        suspicious, limit = refused(known, settings), f"in at most {settings.held_out:.0%} of cases"
        said = f"get it right {limit} (of at least {run.measure.models * LEAST_TRIALS} models)"
    else:
        far, fence = far_off(np.where(enough, known[mean_out].to_numpy(float), np.nan))
        suspicious = far & enough
        said = (
            f"have a mean {units.name} below {units.mean(fence)} on it, which is more than three "
            "interquartile ranges below the first quartile of all examples"
        )
    least = config.selection.least("influence", run.statistic) or 0.0

    def on_tests(chosen: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        labels = data.train_labels, data.test_labels
        found, means = score_effects(held, chosen, *labels, least, settings.fdr)
        return ranked(found), means

    counts = train_counts(held, run.labels)
    return Evidence(
        memorization=_with_models(known, run),
        memorized=memorized(counts, config.selection),
        refused=suspicious,
        confidence=None,
        effects=on_tests,
        units=units,
        rules=Rules(
            described(config.selection, run.statistic),
            units.difference(least) if least else "",
            said,
        ),
        source=(
            f"{run.measure.models * len(held):,} models were trained on random "
            f"{config.training.fraction:.0%} of the {len(known):,} training examples. For each "
            "example, models that were trained on it "
            f"are compared with models that were not: {_compared(units)}"
        ),
        trials=len(held),
    )


def _with_models(memorization: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Memorization with the number of models without each example, rather than of subsets."""
    return memorization.assign(n_out=run.measure.models * memorization["n_out"])


def _compared(units: Units) -> str:
    if units.bounded:
        return "how often is either right on it?"
    return f"what is their mean score on it ({units.name})? More is better."


def refused(memorization: pd.DataFrame, settings: AuditSettings) -> np.ndarray:
    """Marks examples whose label models without them hardly ever predict: bool `[num_train]`.

    Args:
      memorization: one row for each example, with `n_out` and `accuracy_out`.
      settings: the settings, of which `held_out` counts.
    """
    enough = memorization["n_out"] >= LEAST_TRIALS
    return (enough & (memorization["accuracy_out"] <= settings.held_out)).to_numpy()


def of_one_model(
    memorization: pd.DataFrame,
    influences: Callable[[np.ndarray], Iterable[ModelInfluence]],
    test_labels: np.ndarray,
    config: Config,
    opinion: np.ndarray | None,
    estimator: str,
) -> Evidence:
    """Collects evidence from one model, by influence functions.

    The probability of an example's label without the example is that of a cross-validation's model
    which never saw the example. Without a cross-validation it is, to first order, the model's own
    probability minus memorization.

    Args:
      memorization: records of self-influence of all examples, in index order, with
        `label_probability`.
      influences: a function from training examples to their influences, which are yielded in blocks
        of test examples until all are covered.
      test_labels: int64 `[num_test]`.
      config: the settings, of which `selection.influence` and `experiments.audit` count.
      opinion: `[num_train, classes]`, see `tfmem.audit.opinion`; None without a cross-validation.
      estimator: a sentence that says how memorization was estimated.
    """
    labels = memorization["label"].to_numpy(np.int64)
    own = memorization["label_probability"].to_numpy(float)
    without = np.clip(own - memorization["memorization"].to_numpy(float), 0, 1)
    asked = None if opinion is None else opinion[np.arange(len(labels)), labels]
    without = without if asked is None else asked

    def on_tests(chosen: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        columns = ("train_index", "test_index", "influence")
        parts = [pd.DataFrame([], columns=columns, dtype=float)]
        right = np.zeros(len(test_labels))
        for block in influences(chosen):
            tests = block.test_index
            row, column = large(
                block.influence,
                labels[chosen],
                test_labels[tests],
                config.selection.least_influence,
            )
            values = chosen[row], tests[column], block.influence[row, column]
            parts.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
            right[tests] = block.correct
        found = pd.concat(parts).astype({"train_index": int, "test_index": int})
        return ranked(found.assign(q_value=np.nan)), right

    return Evidence(
        memorization=memorization.assign(accuracy_in=own, accuracy_out=without),
        memorized=at_least(
            memorization["memorization"].to_numpy(float), config.selection.least_memorization
        ),
        refused=without <= config.experiments.audit.held_out,
        confidence=asked,
        effects=on_tests,
        units=units_of(PROBABILITY),
        rules=Rules(
            described(config.selection, "probability"),
            f"{config.selection.least_influence:g}",
            f"have a probability of at most {config.experiments.audit.held_out:.0%}",
        ),
        source=(
            f"One network ({config.model.name}) was trained on all {len(labels):,} training "
            f"examples. Influence functions estimate to first order what it would lose without any "
            f"one of them. {estimator}"
        ),
        trials=0,
    )
