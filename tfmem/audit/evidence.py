"""What an audit rests on: many trials, or one model and influence functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tfmem.audit.effects import effects, large, ranked
from tfmem.config import AuditSettings, Config
from tfmem.experiments.run import Run
from tfmem.experiments.summed import records_in, sum_trials
from tfmem.store.pairs import ModelInfluence

LEAST_TRIALS = 10  # without an example: with fewer, how often they are right says little
Effects = Callable[[np.ndarray], tuple[pd.DataFrame, np.ndarray]]


@dataclass(frozen=True)
class Evidence:
    """What is known of the training examples.

    Attributes:
      memorization: a row an example, by `index`: `label`, `memorization`, `ci_low`, `ci_high`,
        `accuracy_in`, `accuracy_out` and `n_out`; what is not known is NaN, or 0 of `n_out`.
      refused: bool `[num_train]`, whether models without an example hardly ever predict its label.
      confidence: `[num_train]`, mean probability of the label by models without the example; None
        if it is not known.
      effects: of some training examples, what they do to test examples (see `tfmem.audit.effects`),
        and how often models are right on these, float64 `[num_test]`.
      probability: whether accuracies are mean probabilities of the label.
      source: what it rests on, in a sentence.
      trials: how many; 0 of one model.
    """

    memorization: pd.DataFrame
    refused: np.ndarray
    confidence: np.ndarray | None
    effects: Effects
    probability: bool
    source: str
    trials: int


def of_trials(run: Run, config: Config) -> Evidence:
    """What the trials of a run say.

    Args:
      run: its memorization and trials.
      config: `selection.influence`, and `experiments.audit`.

    Raises:
      InputError: if the run cannot be read.
    """
    settings, known = config.experiments.audit, run.memorization
    trials = sum_trials(records_in(run.predictions), run.dataset.train_labels)
    count, share = trials.counts.num_trials, config.training.fraction

    def on_tests(chosen: np.ndarray) -> tuple[pd.DataFrame, np.ndarray]:
        return effects(run.predictions, chosen, config.selection.influence, settings.fdr)

    return Evidence(
        memorization=known,
        refused=refused(known, settings),
        confidence=trials.held_out_confidence,
        effects=on_tests,
        probability=run.statistic == "probability",
        source=(
            f"{count:,} networks ({config.model.name}) were trained on random {share:.0%} of the "
            f"{len(known):,} training examples. Of each example it is known how often networks are "
            "right that were trained on it, and how often those that were not."
        ),
        trials=count,
    )


def refused(memorization: pd.DataFrame, settings: AuditSettings) -> np.ndarray:
    """Which examples have a label that models without them hardly ever predict: bool.

    Args:
      memorization: a row an example; `n_out`, `accuracy_out`.
      settings: `held_out`.
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
    """What one model says by influence functions.

    How probable an example's label is without it, is what the models of a cross-validation say that
    never saw it; without these the model's own probability less memorization, to first order.

    Args:
      memorization: records of self-influence of all examples, in index order; with
        `label_probability`.
      influences: what some training examples do to test examples, in blocks of all of these.
      test_labels: int64 `[num_test]`.
      config: `selection.influence`, and `experiments.audit`.
      opinion: `[num_train, classes]`; see `tfmem.audit.opinion`; None: no one was asked.
      estimator: what memorization is from, in a sentence.
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
                block.influence, labels[chosen], test_labels[tests], config.selection.influence
            )
            values = chosen[row], tests[column], block.influence[row, column]
            parts.append(pd.DataFrame(dict(zip(columns, values, strict=True))))
            right[tests] = block.correct
        found = pd.concat(parts).astype({"train_index": int, "test_index": int})
        return ranked(found.assign(q_value=np.nan)), right

    return Evidence(
        memorization=memorization.assign(accuracy_in=own, accuracy_out=without),
        refused=without <= config.experiments.audit.held_out,
        confidence=asked,
        effects=on_tests,
        probability=True,
        source=(
            f"One network ({config.model.name}) was trained on all {len(labels):,} training "
            f"examples. What it would lose without one of them is known to first order, by "
            f"influence functions. {estimator}"
        ),
        trials=0,
    )
