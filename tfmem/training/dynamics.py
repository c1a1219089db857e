"""What a few models predict for the training examples after every epoch of their training."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.errors import InputError
from tfmem.given import GivenSubsets
from tfmem.predictions import write_atomically
from tfmem.quiet import import_tensorflow
from tfmem.subsets import Trial

if TYPE_CHECKING:
    import tensorflow as tf

    from tfmem.training.fitting import FittingTrainer


@dataclass(frozen=True)
class Dynamics:
    """Predictions of models with `training=False`.

    Attributes:
      confidence: float32 `[models, epochs, num_train]`, probability of the label after each epoch.
      correct: bool `[models, epochs, num_train]`.
      error: float32 `[models, epochs, num_train]`, norm of the difference between the probabilities
        and the one-hot label (EL2N of Paul et al. 2021, for one model).
      probabilities: float32 `[models, num_train, classes]`, after the last epoch.
    """

    confidence: np.ndarray
    correct: np.ndarray
    error: np.ndarray
    probabilities: np.ndarray


def follow(config: Config, dataset: AnyDataset, masks: Sequence[np.ndarray], out: Path) -> Dynamics:
    """Trains one model on the examples of each mask; what is there already is not trained again.

    Args:
      config: model, recipe and seed; model `k` has the seeds of trial `k`.
      dataset: the examples.
      masks: bool `[num_train]`, one a model.
      out: receives a folder with a file a model; other models go into another folder.

    Raises:
      InputError: if a model diverges, or with `trainer: mirrored`.
    """
    if config.training.trainer != "stacked":
        raise InputError(
            "training.trainer: expected 'stacked' to follow predictions over epochs, received "
            f"{config.training.trainer!r}"
        )
    given = GivenSubsets.of(masks)
    made_with = hashlib.sha256(config.digest() + dataset.fingerprint)
    made_with.update(given.digest().encode())
    folder = out / f"models-{made_with.hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"model-{number:05d}.npz" for number in range(len(masks))]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        trainer = _make_trainer(config, dataset, len(missing))
        for size in np.unique(given.sizes[missing]):
            rows = [number for number in missing if given.sizes[number] == size]
            for start in range(0, len(rows), trainer.stack_size):
                some = rows[start : start + trainer.stack_size]
                trials = [Trial(number, config.seed) for number in some]
                seen = _train(trainer, trials, [given.subset(number) for number in some], dataset)
                for number in some:
                    _write(paths[number], seen[number])
    parts = [_read(path) for path in paths]
    return Dynamics(*(np.stack(part) for part in zip(*parts, strict=True)))


class _Recorder:
    """Notes what models predict after each epoch; see `Watcher`."""

    def __init__(
        self, trainer: FittingTrainer, trials: Sequence[Trial], labels: np.ndarray
    ) -> None:
        self._machine = trainer.part
        self._trials = trials
        self._labels = labels
        self.seen: dict[int, tuple[np.ndarray, ...]] = {}
        self._epochs: dict[int, list[tuple[np.ndarray, ...]]] = {}

    def resume(self, variables: Sequence[tf.Variable]) -> tuple[int, np.ndarray | None]:
        return 0, None

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[tf.Variable]) -> None:
        every = self._machine.probabilities()
        there = np.arange(len(self._labels))
        for row, trial in enumerate(self._trials):
            if not np.isfinite(losses[row]):
                raise InputError(
                    f"model {trial.trial_id} diverged; training.learning_rate is too large"
                )
            confidence = every[row][there, self._labels]
            correct = every[row].argmax(axis=1) == self._labels
            others = np.square(every[row]).sum(axis=1) - np.square(confidence)
            error = np.sqrt(np.maximum(others, 0) + np.square(1 - confidence))
            # A stack with room left repeats a trial.
            epochs = self._epochs.setdefault(trial.trial_id, [])
            epochs[epoch:] = [(confidence, correct, error)]
            columns = (np.stack(column) for column in zip(*epochs, strict=True))
            self.seen[trial.trial_id] = (*columns, every[row])


def _make_trainer(config: Config, dataset: AnyDataset, count: int) -> FittingTrainer:
    import_tensorflow()
    from tfmem.training.fitting import FittingTrainer
    from tfmem.training.trainers import make_trainers

    settings = {"trials": max(2, count), "stack_size": None, "lanes": 1}
    training = config.training.model_copy(update=settings)
    trainer, *_ = make_trainers(config.model_copy(update={"training": training}), dataset)
    if not isinstance(trainer, FittingTrainer):
        raise TypeError(f"expected a trainer of stacks, received {type(trainer).__name__}")
    return trainer


def _train(
    trainer: FittingTrainer,
    trials: Sequence[Trial],
    subsets: Sequence[np.ndarray],
    dataset: AnyDataset,
) -> dict[int, tuple[np.ndarray, ...]]:
    seen: dict[int, tuple[np.ndarray, ...]] = {}

    def watch(together: Sequence[Trial]) -> _Recorder:
        recorder = _Recorder(trainer, together, dataset.train_labels)
        recorder.seen = seen
        return recorder

    trainer.train(trials, subsets, watch)
    return seen


def _write(path: Path, seen: tuple[np.ndarray, ...]) -> None:
    file = io.BytesIO()
    confidence, correct, error, probabilities = seen
    np.savez(
        file,
        confidence=confidence,
        correct=correct,
        error=error,
        probabilities=probabilities,
    )
    write_atomically(path, file.getvalue())


def _read(path: Path) -> tuple[np.ndarray, ...]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = "confidence", "correct", "error", "probabilities"
            return tuple(arrays[name] for name in names)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{path}: not the predictions of a model: {error}") from None
