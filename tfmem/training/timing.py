"""Measures how long a trial takes on this machine, by a few trials that are cut short."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.messages.backends import import_backend
from tfmem.messages.errors import InputError
from tfmem.planning import TrialTime
from tfmem.subsets import DrawnSubsets, Subsets, Trial
from tfmem.subsets.drawing import subset_size
from tfmem.subsets.stacks import check_batch
from tfmem.training.lanes import work_in_lanes

if TYPE_CHECKING:
    from tfmem.training.outcome import Trainer  # imports TensorFlow

_EPOCHS = 4  # epochs of a trial that is timed
_STEPS, _TRAIN = 10, 4096  # steps, or training examples, of an epoch, whichever is more
_TEST = 2048  # test examples that are predicted


class _Stopwatch:
    """Has only the last epochs of a trial trained, and times them (a `Watcher`)."""

    def __init__(self, epochs: int, timed: int) -> None:
        self._skipped = epochs - timed
        self._times: list[float] = []

    def resume(self, variables: Any) -> tuple[int, None]:
        """Starts with new weights, but at one of the last epochs."""
        self._times.append(time.perf_counter())
        return self._skipped, None

    def after_epoch(self, epoch: int, losses: np.ndarray, variables: Any) -> None:
        """Records the time."""
        self._times.append(time.perf_counter())

    @property
    def epochs(self) -> int:
        """The number of epochs that were timed."""
        return len(self._times) - 1

    @property
    def seconds(self) -> float:
        """Seconds of one epoch; the first, which includes making weights, counts only if alone."""
        start = self._times[1 if self.epochs > 1 else 0]
        return (self._times[-1] - start) / max(1, self.epochs - 1)


def time_trials(config: Config, dataset: AnyDataset, trials: int) -> TrialTime:
    """Trains a few trials as a run would, in all lanes, and returns the time of a whole trial.

    At most 4 epochs of 10 steps, or of 4,096 examples if that is more, are trained, and at most
    2,048 test examples are predicted; longer times are taken to be in proportion. Programs are
    traced before the clock starts. As stacks are trained as a whole, at least as many trials are
    timed as all lanes take at once.

    Args:
      config: the run's settings.
      dataset: the examples.
      trials: least number of trials to time.

    Raises:
      InputError: if `trials` is less than 1, or if a single model does not fit in memory.
    """
    if trials < 1:
        raise InputError(f"trials to time: expected at least 1, received {trials}")
    training = config.training
    whole = len(dataset.train_labels), len(dataset.test_labels)
    enough = round(max(_STEPS * training.batch_size, _TRAIN) / training.fraction)
    kept = min(whole[0], enough), min(whole[1], _TEST)
    sizes = [subset_size(number, training.fraction) for number in (whole[0], kept[0])]
    check_batch(DrawnSubsets(whole[0], sizes[0], config.seed), training.batch_size)
    start = time.monotonic()
    import_backend()
    from tfmem.encoders import as_arrays
    from tfmem.training.choosing import lanes_known_at_once
    from tfmem.training.platforms import platform
    from tfmem.training.trainers import make_trainers

    platform().share_cores(lanes_known_at_once(config, dataset))
    examples = as_arrays(config, dataset)  # all examples, as a run also keeps all
    if kept != whole:
        examples = examples.keep(*(_spread(*pair) for pair in zip(whole, kept, strict=True)))
    trainers = make_trainers(config, examples)
    at_once = len(trainers) * trainers[0].stack_size
    times: list[tuple[float, float]] = []
    subsets = DrawnSubsets(kept[0], sizes[1], config.seed)
    _train_all(config, trainers, subsets, 0, 1)  # traces
    start = time.monotonic() - start
    for group in range(1, 1 + -(-trials // at_once)):
        epochs = min(_EPOCHS, training.epochs)
        times += _train_all(config, trainers, subsets, group, epochs)
    epoch, rest = (float(np.mean(part)) / at_once for part in zip(*times, strict=True))
    return TrialTime(
        training=epoch * training.epochs * sizes[0] / sizes[1],
        rest=rest * sum(whole) / sum(kept),
        fraction=training.fraction,
        start=start,
    )


def _spread(whole: int, kept: int) -> np.ndarray:
    return np.linspace(0, whole - 1, kept).round().astype(np.int64)


def _train_all(
    config: Config, trainers: Sequence[Trainer], subsets: Subsets, group: int, epochs: int
) -> list[tuple[float, float]]:
    """Trains a stack in every lane; returns its seconds for an epoch, and beside epochs."""
    times: list[tuple[float, float]] = []
    all_there = threading.Barrier(len(trainers))  # keeps a lane from taking two stacks

    def train(lane: int, trainer: Trainer) -> None:
        all_there.wait()
        first = (group * len(trainers) + lane) * trainer.stack_size
        trials = [Trial(first + i, config.seed) for i in range(trainer.stack_size)]
        watches: list[_Stopwatch] = []

        def watch(trials: Sequence[Trial]) -> _Stopwatch:
            watches.append(_Stopwatch(config.training.epochs, epochs))
            return watches[-1]

        start = time.perf_counter()
        trainer.train(trials, [subsets.subset(trial.trial_id) for trial in trials], watch)
        seconds = time.perf_counter() - start
        done = [watch for watch in watches if watch.epochs]
        epoch = sum(watch.seconds for watch in done)
        rest = seconds - sum(watch.seconds * watch.epochs for watch in done)
        times.append((epoch, max(0.0, rest)))

    lanes = iter(range(len(trainers)))
    work_in_lanes(trainers, lanes, train, threading.Event())
    return times
