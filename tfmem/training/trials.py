"""The trial loop: plan stacks, skip what is done, train, write shards.

A shard holds the trials of one stack, and stack `s` always holds trials `s * stack_size` and up. So
a run that was killed continues at the first shard that is missing, and what it writes is what it
would have written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import Config, differences, from_yaml
from tfmem.datasets import Dataset
from tfmem.errors import InputError
from tfmem.predictions import (
    LABELS_NAME,
    Labels,
    TrialRecord,
    read_shard,
    write_atomically,
    write_shard,
)
from tfmem.records import parse_shard_name, shard_name
from tfmem.subsets import Trial, pack, subset_size, unpack
from tfmem.training.progress import TrialProgress

if TYPE_CHECKING:
    from tfmem.training.outcome import Outcome, Trainer  # imports TensorFlow

CONFIG_NAME = "config.yaml"


@dataclass(frozen=True)
class TrialSummary:
    """How a farm of trials ended.

    Attributes:
      trials: number of trials there are.
      trained: number of those that this call trained.
      accuracy: mean test accuracy.
      accuracy_sd: its standard deviation over trials.
    """

    trials: int
    trained: int
    accuracy: float
    accuracy_sd: float


def check_directory(folder: Path, config: Config) -> Config | None:
    """Checks that a predictions folder may be continued with a configuration.

    Args:
      folder: the predictions folder, which need not exist.
      config: what is asked for.

    Returns:
      The settings that the folder was begun with; None if there is nothing in it yet.

    Raises:
      InputError: saying what differs, if its trials are not those that `config` asks for.
    """
    path = folder / CONFIG_NAME
    if not path.exists():
        return None
    begun = from_yaml(path.read_text(encoding="utf-8"), source=str(path))
    had, asked = begun.training, config.training
    changed = differences(begun.trial_settings(), config.trial_settings())
    for name in ("trainer", "probabilities", "stack_size"):
        before, after = getattr(had, name), getattr(asked, name)
        if after not in (None, before):
            changed.append(f"training.{name}: {before!r} -> {after!r}")
    if asked.trials < had.trials:
        changed.append(f"training.trials: {had.trials} -> {asked.trials}")
    if changed:
        raise InputError(
            f"{folder} was made with other settings ({'; '.join(changed)}): "
            "choose another output folder, or the same settings"
        )
    return begun


def run_trials(
    config: Config,
    dataset: Dataset,
    folder: Path,
    make_trainer: Callable[[int | None], Trainer],
) -> TrialSummary:
    """Trains all trials that a folder does not hold yet.

    Args:
      config: the run's settings.
      dataset: the examples.
      folder: where shards and `labels.npz` go; made if needed.
      make_trainer: makes the trainer, given the stack size to use or None to choose one.

    Raises:
      InputError: if the folder holds trials of other settings or data, or a damaged shard.
    """
    begun = check_directory(folder, config)
    subset_size(len(dataset.train_labels), config.training.fraction)
    _check_labels(folder, dataset)
    folder.mkdir(parents=True, exist_ok=True)
    trainer = make_trainer(begun.training.stack_size if begun else config.training.stack_size)
    farm = _Farm(config, dataset, folder, trainer)
    labels = Labels(
        dataset.train_labels, dataset.test_labels, dataset.class_names, dataset.fingerprint
    )
    _write_once(folder / LABELS_NAME, labels.to_npz())
    training = config.training.model_copy(update={"stack_size": trainer.stack_size})
    settings = config.model_copy(update={"training": training})
    _write_once(folder / CONFIG_NAME, settings.to_yaml().encode())
    return farm.run()


def _write_once(path: Path, contents: bytes) -> None:
    if not path.exists() or path.read_bytes() != contents:
        write_atomically(path, contents)


def _check_labels(folder: Path, dataset: Dataset) -> None:
    path = folder / LABELS_NAME
    if not path.exists():
        return
    there = Labels.from_npz(path.read_bytes(), str(path)).dataset_fingerprint
    if there != dataset.fingerprint:
        raise InputError(
            f"{folder} was made with other data: expected a data set with fingerprint "
            f"{there.hex()[:16]}, received {dataset.name} with {dataset.fingerprint.hex()[:16]}"
        )


class _Farm:
    """The shards of one run: what is there, what is to do."""

    def __init__(self, config: Config, dataset: Dataset, folder: Path, trainer: Trainer) -> None:
        self._config = config
        self._dataset = dataset
        self._folder = folder
        self._trainer = trainer
        self._shards = -(-config.training.trials // trainer.stack_size)
        self._accuracies: list[float] = []

    def run(self) -> TrialSummary:
        for left in self._folder.glob(".predictions-*.tmp"):
            left.unlink()  # of a run that was killed while it wrote
        have, missing = 0, set(range(self._shards))
        for shard, path in self._found():
            accuracies = [self._accuracy(record) for record in self._present(shard, path)]
            path.replace(self._path(shard))  # among more shards than when it was written, perhaps
            have += len(accuracies)
            if len(accuracies) == len(self._ids(shard)):
                missing.remove(shard)
                self._accuracies += accuracies
        if missing:
            with TrialProgress(self._config.training.trials, have) as progress:
                for shard in sorted(missing):
                    self._train(shard, progress)
        accuracy = np.array(self._accuracies)
        return TrialSummary(
            trials=len(accuracy),
            trained=len(accuracy) - have,
            accuracy=float(accuracy.mean()),
            accuracy_sd=float(accuracy.std(ddof=1)),
        )

    def _ids(self, shard: int) -> range:
        size = self._trainer.stack_size
        return range(shard * size, min((shard + 1) * size, self._config.training.trials))

    def _path(self, shard: int) -> Path:
        return self._folder / shard_name("predictions", shard, self._shards)

    def _found(self) -> Iterator[tuple[int, Path]]:
        for path in sorted(self._folder.iterdir()):
            name = parse_shard_name(path.name)
            if name and name[0] == "predictions":
                yield name[1], path

    def _present(self, shard: int, path: Path) -> list[TrialRecord]:
        records = list(read_shard(path))
        expected = (self._dataset.fingerprint, self._config.digest())
        for number, record in enumerate(records):
            where = f"{path}: record {number}"
            if record.trial_id not in self._ids(shard):
                raise InputError(
                    f"{where}: expected a trial of {self._ids(shard)}, received {record.trial_id}"
                )
            if (record.dataset_fingerprint, record.config_digest) != expected:
                raise InputError(f"{where}: made with other data or other settings")
        return records

    def _train(self, shard: int, progress: TrialProgress) -> None:
        size, epochs = self._trainer.stack_size, self._config.training.epochs
        path = self._path(shard)
        present = list(read_shard(path)) if path.exists() else []
        there = {record.trial_id for record in present}
        # The whole stack is trained, also beyond the last trial: its shape and order never change.
        trials = [Trial(shard * size + i, self._config.seed) for i in range(size)]
        epochs_done = 0

        def on_epoch() -> None:
            nonlocal epochs_done
            epochs_done += 1
            progress.partly(len(self._ids(shard)) * epochs_done / (epochs + 1))

        outcomes = self._trainer.train(trials, on_epoch)
        records = present + [
            self._record(trial, outcome)
            for trial, outcome in zip(trials, outcomes, strict=True)
            if trial.trial_id in self._ids(shard) and trial.trial_id not in there
        ]
        write_shard(path, records)
        self._accuracies += [self._accuracy(record) for record in records]
        progress.finished(len(records) - len(present), float(np.mean(self._accuracies)))

    def _record(self, trial: Trial, outcome: Outcome) -> TrialRecord:
        num_train, num_test = len(outcome.train_correct), len(outcome.test_correct)
        mask = np.zeros(num_train, bool)
        mask[trial.subset(num_train, subset_size(num_train, self._config.training.fraction))] = True
        keep = self._config.training.probabilities
        return TrialRecord(
            trial_id=trial.trial_id,
            seed=trial.run_seed,
            num_train=num_train,
            num_test=num_test,
            subset_mask=pack(mask),
            train_correct=pack(outcome.train_correct),
            test_correct=pack(outcome.test_correct),
            dataset_fingerprint=self._dataset.fingerprint,
            config_digest=self._config.digest(),
            train_prob=outcome.train_prob.astype("<f2").tobytes() if keep else b"",
            test_prob=outcome.test_prob.astype("<f2").tobytes() if keep else b"",
        )

    @staticmethod
    def _accuracy(record: TrialRecord) -> float:
        return float(unpack(record.test_correct, record.num_test).mean())
