"""Trains the models that experiments compare, on given examples."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich import print as say
from rich.markup import escape

from tfmem.aggregation.values import values_of
from tfmem.config import Config, TrainingSettings
from tfmem.datasets import AnyDataset
from tfmem.estimation.estimator import CORRECTNESS, Measure
from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.predictions import CONFIG_NAME, Split, TrialRecord
from tfmem.store.shards import read_shard, shards_in
from tfmem.subsets import GivenSubsets
from tfmem.subsets.drawing import random_order
from tfmem.subsets.stacks import largest_stack_of_one_size
from tfmem.training import TrialSummary, train

_ATTEMPTS = 3  # seeds with which a model is trained, one after the other, until it converges
_AGAIN = 2**31  # part of the keys of these seeds, which no experiment uses
_EXPERIMENT = 2**32 - 1  # first part of the spawn key of experiments, which no trial has as number


@dataclass(frozen=True)
class Trained:
    """Predictions of models, in the order of the masks that they were trained on.

    Attributes:
      train: bool `[models, num_train]`, which training examples each model is right on; or float64,
        their scores.
      test: `[models, num_test]`, likewise.
      diverged: int64, the models that diverged; `train_on` returns none.
    """

    train: np.ndarray
    test: np.ndarray
    diverged: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def test_mean(self) -> np.ndarray:
        """The test accuracy, or the mean test score, of each model, float64 `[models]`."""
        return self.test.mean(axis=1)

    def replaced(self, others: Trained) -> Trained:
        """The models, with the first of `others` in place of those that diverged."""
        train, test = self.train.copy(), self.test.copy()
        count = len(self.diverged)
        train[self.diverged] = others.train[:count]
        test[self.diverged] = others.test[:count]
        left = others.diverged[others.diverged < count]
        return Trained(train, test, self.diverged[left])


def train_on(
    config: Config,
    dataset: AnyDataset,
    masks: Sequence[np.ndarray],
    out: Path,
    measure: Measure = CORRECTNESS,
) -> Trained:
    """Trains one model on the examples of each mask; finished models are not trained again.

    Models with equal subset sizes are trained in stacks, like trials. They differ in their seeds,
    which are those of trials 0, 1, … in the order of subset sizes. A model that diverges is trained
    again with another seed; likewise, a run leaves diverged trials out of its estimates.

    Args:
      config: model, recipe and seed.
      dataset: the examples.
      masks: bool `[num_train]`, one for each model.
      out: receives a folder with predictions, trial table and subsets; see `workplace`.
      measure: what is returned of models: which predictions are right, or values of a statistic.

    Raises:
      InputError: if a model diverges with each of three seeds.
    """
    trained = _train_on(config, dataset, masks, out, measure)
    for attempt in range(1, _ATTEMPTS):
        if not len(trained.diverged):
            return trained
        again = [masks[place] for place in trained.diverged]
        again += again[:1] if len(again) == 1 else []  # a run has at least two trials
        other = independent(config, _AGAIN, attempt)
        trained = trained.replaced(_train_on(other, dataset, again, out, measure))
    if len(trained.diverged):
        raise InputError(
            f"{out}: {len(trained.diverged)} of {len(masks)} models diverged with {_ATTEMPTS} "
            "seeds: a smaller training.learning_rate may help"
        )
    return trained


def _train_on(
    config: Config, dataset: AnyDataset, masks: Sequence[np.ndarray], out: Path, measure: Measure
) -> Trained:
    order = np.argsort([mask.sum() for mask in masks], kind="stable")
    given = GivenSubsets.of([masks[place] for place in order])
    settings = {
        "trials": len(masks),
        "repeats": 1,
        "groups": None,
        "groups_digest": None,
        "subsets_digest": given.digest(),
        "stack_size": _stack_size(config.training, given),
    }
    training = config.training.model_copy(update=settings)
    out = workplace(out, config.model_copy(update={"training": training}), dataset)
    if (out / "predictions" / CONFIG_NAME).exists():  # models are trained as they were begun
        training = training.model_copy(update={"stack_size": None})
    out.mkdir(parents=True, exist_ok=True)
    path = out / "subsets.npz"
    write_atomically(path, given.to_npz())
    training = training.model_copy(update={"subsets": str(path)})
    summary = train_alone(config.model_copy(update={"training": training}), dataset, out)
    trained = _read(out / "predictions", order, measure)
    return replace(trained, diverged=np.sort(order[list(summary.diverged)]))


def _stack_size(training: TrainingSettings, given: GivenSubsets) -> int | None:
    """The largest stack that fits the subsets, up to the size in the settings; None if not set."""
    if training.trainer == "mirrored":
        return 1
    return training.stack_size and largest_stack_of_one_size(given, training.stack_size)


def train_alone(config: Config, dataset: AnyDataset, out: Path) -> TrialSummary:
    """Trains all trials of a folder in which no other worker may be training.

    Args:
      config: the settings of the trials.
      dataset: the examples.
      out: receives the trials.

    Raises:
      InputError: if every trial diverges, or other workers are still training.
    """
    summary = train(config, dataset, out)
    if summary.elsewhere:
        raise InputError("other workers are still training; run this again when they are done")
    if summary.unlearned:
        say(escape(f"{out}: {summary.unlearned}"))
    return summary


def with_trials(config: Config, trials: int, **training: Any) -> Config:
    """The settings of a run, with another number of trials on random subsets of their own.

    Args:
      config: the settings of the run.
      trials: number of trials.
      training: further settings of the section `training` that differ.
    """
    changed = {
        "trials": trials,
        "repeats": 1,
        "subsets": None,
        "subsets_digest": None,
        **training,
    }
    return config.model_copy(update={"training": config.training.model_copy(update=changed)})


def workplace(out: Path, config: Config, dataset: AnyDataset) -> Path:
    """The folder of some trials, whose name depends on everything that decides them.

    Trials with other settings, of another number or on other data have another folder, so that both
    can be continued.

    Args:
      out: the folder that holds it.
      config: settings of the trials, with the digest of `training.subsets` if these are given.
      dataset: the examples.
    """
    depends = hashlib.sha256(config.digest() + dataset.fingerprint)
    training = config.training
    depends.update(f"{training.trials} {training.trainer} {training.probabilities}".encode())
    if training.subsets_digest is not None:
        depends.update(training.subsets_digest.encode())
    return out / f"trials-{depends.hexdigest()[:12]}"


def draw(config: Config, count: int, *key: int) -> np.ndarray:
    """A random order of `range(count)`, int64; other keys give independent orders."""
    seed = np.random.SeedSequence(config.seed, spawn_key=(_EXPERIMENT, *key))
    return random_order(seed, count)


def most_memorized(memorization: np.ndarray, number: int, key: str) -> np.ndarray:
    """The examples with estimates, int64, the most memorized first.

    Args:
      memorization: float `[num_train]`, NaN if there is no estimate.
      number: number of examples that must have an estimate.
      key: the setting that requires this number.

    Raises:
      InputError: if fewer examples have an estimate.
    """
    known = np.flatnonzero(~np.isnan(memorization))
    if len(known) < number:
        raise InputError(
            f"{key}: expected at most {len(known) / len(memorization):.3g}, the share of the "
            f"examples that have an estimate of memorization, received {number:,} examples"
        )
    return known[np.argsort(-memorization[known], kind="stable")]


def independent(config: Config, *key: int) -> Config:
    """The settings with another seed, for models that share no random numbers with the run's."""
    seed = np.random.SeedSequence(config.seed, spawn_key=(_EXPERIMENT, *key))
    return config.model_copy(update={"seed": int(seed.generate_state(1, np.uint64)[0] >> 1)})


def outcome_of(record: TrialRecord, split: Split, measure: Measure) -> np.ndarray:
    """Which examples the model of a record is right on, or float64 values of a statistic."""
    source = f"trial {record.trial_id}"
    if measure.statistic == "correctness":
        return record.correctness(split, source)
    return values_of(record, source, split, measure).astype(np.float64)


def _read(folder: Path, order: np.ndarray, measure: Measure) -> Trained:
    train, test = {}, {}
    for shard in shards_in(folder):
        for record in read_shard(shard):
            place = int(order[record.trial_id])
            train[place] = outcome_of(record, "train", measure)
            test[place] = outcome_of(record, "test", measure)
    places = range(len(order))
    return Trained(
        np.stack([train[place] for place in places]),
        np.stack([test[place] for place in places]),
    )
