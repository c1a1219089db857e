"""Follows the predictions of a few models for the training examples over all epochs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.messages.backends import import_backend
from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.npz import npz_bytes, read_npz
from tfmem.subsets import GivenSubsets, Trial

if TYPE_CHECKING:
    from tfmem.training.fitting import FittingTrainer
    from tfmem.training.outcome import Variable

_NAMES = ("confidence", "correct", "error", "probabilities", "seconds")


@dataclass(frozen=True)
class Dynamics:
    """Predictions of models with `training=False`.

    Attributes:
      confidence: float32 `[models, epochs, num_train]`, probability of the label after each epoch.
      correct: bool `[models, epochs, num_train]`.
      error: float32 `[models, epochs, num_train]`, norm of the difference between the probabilities
        and the one-hot label (EL2N of Paul et al. 2021, for one model).
      probabilities: float32 `[models, num_train, classes]`, after the last epoch.
      seconds: float64 `[models]`, the time that training each model took (see `clock`), as its
        share of a stack. Predictions and the tracing of programs in the first epoch do not count.
      probed: the results of the probe, `[models, ...]` by name.
    """

    confidence: np.ndarray
    correct: np.ndarray
    error: np.ndarray
    probabilities: np.ndarray
    seconds: np.ndarray
    probed: Mapping[str, np.ndarray] = field(default_factory=dict)


class NotFollowedError(InputError):
    """The models are not trained in stacks, in which alone predictions are followed."""


class Probe(Protocol):
    """Computes further scores of each model that is followed.

    Attributes:
      epochs: the epochs after which the probe is called.
      name: a name that differs between probes with different results.
    """

    epochs: tuple[int, ...]
    name: str

    def __call__(self, epoch: int, values: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
        """The scores of a model by name, from its trainable and then its other variables."""


def follow(
    config: Config,
    dataset: AnyDataset,
    masks: Sequence[np.ndarray],
    out: Path,
    probe: Probe | None = None,
) -> Dynamics:
    """Trains one model on the examples of each mask; models that `out` holds are not trained again.

    Args:
      config: model, recipe and seed; model `k` has the seeds of trial `k`.
      dataset: the examples.
      masks: bool `[num_train]`, one for each model.
      out: receives a folder with one file for each model; models with other settings have another
        folder.
      probe: computes further scores of the models.

    Raises:
      InputError: if a model diverges.
      NotFollowedError: with `trainer: mirrored`, or if only the model's own `fit` trains it.
    """
    if config.training.trainer not in ("stacked", "auto"):
        raise NotFollowedError(
            "training.trainer: expected 'stacked' to follow predictions over epochs, received "
            f"{config.training.trainer!r}"
        )
    given = GivenSubsets.of(masks)
    made_with = hashlib.sha256(config.digest() + dataset.fingerprint + ",".join(_NAMES).encode())
    made_with.update(given.digest().encode())
    if probe is not None:
        made_with.update(probe.name.encode())
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
                subsets = [given.subset(number) for number in some]
                seen = _train(trainer, trials, subsets, dataset, probe)
                for number in some:
                    _write(paths[number], seen[number])
    parts = [_read(path) for path in paths]
    arrays = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    own = {name: arrays.pop(name) for name in _NAMES}
    return Dynamics(**own, probed=arrays)


def clock() -> Callable[[], float]:
    """A clock in seconds: processor time, as other work may share it, or wall time with a GPU."""
    from tfmem.training.platforms import platform

    return time.perf_counter if platform().gpus() else time.process_time


class _Recorder:
    """Records what models predict after each epoch; see `Watcher`."""

    def __init__(
        self,
        trainer: FittingTrainer,
        trials: Sequence[Trial],
        labels: np.ndarray,
        seen: dict[int, dict[str, np.ndarray]],
        probe: Probe | None,
    ) -> None:
        self._machine = trainer.part
        # A stack that is not full repeats a trial.
        self._rows = {trial.trial_id: row for row, trial in enumerate(trials)}
        self._labels = labels
        self._seen = seen
        self._probe = probe
        self._epochs: dict[int, list[tuple[np.ndarray, ...]]] = {k: [] for k in self._rows}
        self._probed: dict[int, dict[str, np.ndarray]] = {k: {} for k in self._rows}
        self._clock = clock()
        self._start = self._clock()
        self._times: list[float] = []

    def resume(self, variables: Sequence[Variable]) -> tuple[int, np.ndarray | None]:
        return 0, None

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Sequence[Variable]) -> None:
        self._times.append(self._clock() - self._start)
        every = self._machine.probabilities()
        there = np.arange(len(self._labels))
        whole = np.mean(self._times[1:] or self._times) * len(self._times)
        for number, row in self._rows.items():
            if not np.isfinite(losses[row]):
                raise InputError(f"model {number} diverged; training.learning_rate is too large")
            confidence = every[row][there, self._labels]
            correct = every[row].argmax(axis=1) == self._labels
            others = np.square(every[row]).sum(axis=1) - np.square(confidence)
            error = np.sqrt(np.maximum(others, 0) + np.square(1 - confidence))
            self._epochs[number].append((confidence, correct, error))
            if self._probe is not None and epoch in self._probe.epochs:
                known = variables[: self._machine.num_values]
                values = [np.asarray(variable.numpy()[row]) for variable in known]
                self._probed[number].update(self._probe(epoch, values))
            columns = (np.stack(column) for column in zip(*self._epochs[number], strict=True))
            own = (*columns, every[row], np.float64(whole / len(losses)))
            self._seen[number] = {**dict(zip(_NAMES, own, strict=True)), **self._probed[number]}
        self._start = self._clock()


def _make_trainer(config: Config, dataset: AnyDataset, count: int) -> FittingTrainer:
    import_backend()
    from tfmem.training.fitting import FittingTrainer
    from tfmem.training.trainers import make_trainers

    settings = {"trials": max(2, count), "stack_size": None, "lanes": 1}
    training = config.training.model_copy(update=settings)
    trainer, *_ = make_trainers(config.model_copy(update={"training": training}), dataset)
    if not isinstance(trainer, FittingTrainer):
        raise NotFollowedError(
            "training.trainer: expected 'stacked' to follow predictions over epochs, received a "
            "model that only its own fit trains"
        )
    return trainer


def _train(
    trainer: FittingTrainer,
    trials: Sequence[Trial],
    subsets: Sequence[np.ndarray],
    dataset: AnyDataset,
    probe: Probe | None,
) -> dict[int, dict[str, np.ndarray]]:
    seen: dict[int, dict[str, np.ndarray]] = {}

    def watch(together: Sequence[Trial]) -> _Recorder:
        return _Recorder(trainer, together, dataset.train_labels, seen, probe)

    trainer.train(trials, subsets, watch)
    return seen


def _write(path: Path, seen: Mapping[str, np.ndarray]) -> None:
    write_atomically(path, npz_bytes(seen))


def _read(path: Path) -> dict[str, np.ndarray]:
    return read_npz(path)
