"""The farm: trains the missing trials of a run, alone or beside other workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np

from tfmem.config import Config, PythonSettings
from tfmem.datasets import AnyDataset
from tfmem.messages.errors import InputError
from tfmem.store.claims import Claims, Worker
from tfmem.store.folders import Folder
from tfmem.store.journal import TABLE_NAME, Journal, TrialNote, trials_to_csv
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import framed_size
from tfmem.store.shards import found_shards, parse_predictions_name
from tfmem.subsets import Subsets, Trial
from tfmem.training.checkpoints import Checkpoint
from tfmem.training.earlier import mark_anew
from tfmem.training.lanes import work_in_lanes
from tfmem.training.learning import describe_unlearned
from tfmem.training.progress import TrialProgress
from tfmem.training.scalars import Scalars
from tfmem.training.shards import Shards
from tfmem.training.watching import TrialWatcher

if TYPE_CHECKING:
    from tfmem.training.outcome import Trainer  # imports TensorFlow

_HOPELESS = 8  # number of trials after which a run is given up if all have diverged
_LOOKS = 20  # times that a folder is listed while other workers rename shards
_READ_AT_START = 1 << 30  # bytes; shards of larger runs are read only by the estimation


@dataclass(frozen=True)
class TrialSummary:
    """How a farm of trials ended.

    Attributes:
      trials: number of trials in the folder.
      trained: number of trials that this call trained.
      accuracy: mean test accuracy of the trials that did not diverge, or mean score of the test
        examples where there are no classes.
      accuracy_sd: standard deviation of the test accuracy over these trials.
      diverged: trials that are left out of the estimates.
      elsewhere: number of trials that each other worker is training, by worker.
      unlearned: a sentence on the models that learned nothing; empty if all learned.
      has_classes: whether `accuracy` is that.
    """

    trials: int
    trained: int
    accuracy: float
    accuracy_sd: float
    diverged: tuple[int, ...] = ()
    elsewhere: dict[str, int] = field(default_factory=dict)
    unlearned: str = ""
    has_classes: bool = True


class Farm:
    """The trials of a run, and the trainers that train the missing ones."""

    def __init__(
        self,
        config: Config,
        labels: Labels,
        subsets: Subsets,
        folder: Folder,
        make_trainers: Callable[[], Sequence[Trainer]] = tuple,
        dataset: AnyDataset | None = None,
    ) -> None:
        """Opens a predictions folder.

        Args:
          config: the run's settings, with the stack size.
          labels: the labels of the examples.
          subsets: the training examples that each trial sees.
          folder: the folder of the shards.
          make_trainers: makes one trainer for each lane; called only if a trial must be trained.
          dataset: the examples, which only help to say why models learned nothing.
        """
        self.shards = Shards(config, labels, subsets, folder, config.training.stack_size or 1)
        self._training = config.training
        self._own_model = isinstance(config.model, PythonSettings)
        self._labels = labels
        self._dataset = dataset
        self._make_trainers = make_trainers
        self._digest = config.digest() + labels.dataset_fingerprint
        self._journal = Journal(folder.child("journal"))
        self._checkpoints = folder.child("checkpoints")
        self._scalars = Scalars(folder.path("tensorboard")) if config.training.tensorboard else None
        self._notes: dict[int, list[TrialNote]] = {}
        self._trained = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()

    @cached_property
    def trainers(self) -> Sequence[Trainer]:
        """One trainer for each lane."""
        return self._make_trainers()

    def run(self, worker: Worker, out: Folder) -> TrialSummary:
        """Trains all missing shards that no other worker has claimed.

        Args:
          worker: this program's number among the run's workers.
          out: the folder that receives `trials.csv`.

        Raises:
          InputError: if a shard is damaged or foreign, if nothing can be written, or if every trial
            diverges.
        """
        missing = self.missing()
        elsewhere: dict[str, int] = {}
        if missing:
            with (
                Claims(self.shards.folder.child("claims"), worker) as claims,
                TrialProgress(
                    self._training.trials, self.known_trials, self._labels.has_classes
                ) as progress,
            ):
                while missing:
                    self._work(missing, worker, claims, progress)
                    missing, elsewhere = self._left(claims)
                claims.clear()
        for folder in (self.shards.folder, self._checkpoints, self._journal.folder):
            folder.remove_temporary()
        return self.finish(out, self._trained, elsewhere)

    def missing(self) -> list[int]:
        """The numbers of the shards that do not exist or are not complete, ascending.

        Raises:
          InputError: if an existing shard is damaged or foreign.
        """
        self.shards.check_settings()
        for _ in range(_LOOKS):
            try:
                self._look()
                break
            except FileNotFoundError:  # another worker renamed it after it was listed
                time.sleep(0.1)
        return [shard for shard in range(self.shards.count) if not self._is_done(shard)]

    @property
    def known_trials(self) -> int:
        """The number of finished trials that this program knows of."""
        return sum(map(len, self._notes.values()))

    def _look(self) -> None:
        """Reads the existing shards, and renames them if the run has more shards now."""
        folder = self.shards.folder
        found = found_shards(folder)
        total = sum(folder.size(name) for name in found.values())
        for shard, name in found.items():
            if self._is_done(shard):
                continue
            notes, size = self._journal.read(shard)
            whole = size == folder.size(name) and len(notes) == len(self.shards.ids(shard))
            if not whole or total <= _READ_AT_START:
                notes = self._matched(self.shards.read(shard, name), notes)
            # There may be more shards now than when it was written.
            folder.rename(name, self.shards.name(shard))
            if not self._training.exclude_unlearned:
                notes = mark_anew(self.shards, shard, notes)
            self._journal.write(shard, notes, folder.size(self.shards.name(shard)))
            self._notes[shard] = notes
        for name in folder.names():
            number = parse_predictions_name(name)
            if number is not None and name != self.shards.name(number) and self._is_done(number):
                folder.remove(name)  # the new one holds all its trials

    def _matched(self, records: list[TrialRecord], notes: list[TrialNote]) -> list[TrialNote]:
        """A note for each record, with the values that only the journal holds."""
        known = {note.trial: (note.worker, note.seconds, note.final_loss) for note in notes}
        return [self._note(record, *known.get(record.trial_id, ())) for record in records]

    def train_shard(
        self, shard: int, trainer: Trainer, worker: str, show: Callable[[float], None]
    ) -> list[TrialNote]:
        """Trains the missing trials of a shard, and writes the shard.

        Args:
          shard: number of the shard.
          trainer: the trainer to use.
          worker: this worker's name in `trials.csv`.
          show: called with the number of the shard's trials that are done.

        Returns:
          The notes of all trials of the shard.
        """
        shards, name = self.shards, self.shards.name(shard)
        shards.check_settings()
        records = shards.read(shard, name) if shards.folder.exists(name) else []
        there = {record.trial_id for record in records}
        notes = self._matched(records, self._journal.read(shard)[0])
        if len(there) == len(shards.ids(shard)):
            return notes  # another worker was faster
        start = time.perf_counter()
        watchers: list[TrialWatcher] = []

        def watch(trials: Sequence[Trial]) -> TrialWatcher:
            checkpoint = Checkpoint(
                self._checkpoints,
                f"{trials[0].trial_id:05d}-{len(trials)}.npz",
                self._digest,
                self._training.checkpoint_minutes,
            )
            watchers.append(
                TrialWatcher(self._training, trials, checkpoint, self._scalars, show, self._stop)
            )
            return watchers[-1]

        trials = shards.trials(shard)
        outcomes = trainer.train(trials, [shards.subset(trial) for trial in trials], watch)
        seconds = (time.perf_counter() - start) / len(trials)
        for trial, outcome in zip(trials, outcomes, strict=True):
            if trial.trial_id in shards.ids(shard) and trial.trial_id not in there:
                records.append(shards.record(trial, outcome))
                notes.append(self._note(records[-1], worker, seconds, outcome.loss))
        size = sum(framed_size(record.to_example()) for record in records)
        self._journal.write(shard, notes, size)
        shards.folder.write(name, (record.to_example() for record in records))
        for watcher in watchers:
            watcher.end(notes)
        with self._lock:
            self._trained += len(records) - len(there)
        return notes

    def finish(self, out: Folder, trained: int, elsewhere: dict[str, int]) -> TrialSummary:
        """Writes `trials.csv`, and returns a summary of the trials.

        Args:
          out: the folder that receives the table.
          trained: number of trials that this program trained.
          elsewhere: number of trials that each other worker is still training.
        """
        everyone = self._everyone()
        table = trials_to_csv(everyone)
        if not out.exists(TABLE_NAME) or out.read(TABLE_NAME) != table:
            out.write(TABLE_NAME, table)
        accuracy = np.array([note.test_accuracy for note in everyone if not note.diverged])
        if everyone and not len(accuracy):
            raise self._hopeless()
        return TrialSummary(
            trials=len(everyone),
            trained=trained,
            accuracy=float(accuracy.mean()) if len(accuracy) else np.nan,
            accuracy_sd=float(accuracy.std(ddof=1)) if len(accuracy) > 1 else np.nan,
            diverged=tuple(note.trial for note in everyone if note.diverged),
            elsewhere=elsewhere,
            unlearned=describe_unlearned(
                everyone, self._labels, self._training, self._dataset, self._own_model
            ),
            has_classes=self._labels.has_classes,
        )

    def _everyone(self) -> list[TrialNote]:
        notes = [note for notes in self._notes.values() for note in notes]
        return sorted(notes, key=lambda note: note.trial)

    def _note(
        self, record: TrialRecord, worker: str = "", seconds: float = np.nan, loss: float = np.nan
    ) -> TrialNote:
        train, test = self.shards.accuracies(record)
        return TrialNote(
            record.trial_id, record.seed, worker, seconds, train, test, loss, record.diverged
        )

    def _is_done(self, shard: int) -> bool:
        return len(self._notes.get(shard, ())) == len(self.shards.ids(shard))

    def _work(
        self, missing: list[int], worker: Worker, claims: Claims, progress: TrialProgress
    ) -> None:
        """Trains shards, with one thread for each lane, until no unclaimed shard is missing."""

        def train(shard: int, trainer: Trainer) -> None:
            show = partial(progress.partly, shard)
            notes = self.train_shard(shard, trainer, str(worker), show)
            if not claims.release(_claim(shard)):
                print(f"shard {shard}: another worker took it over while this one slept")
            with self._lock:
                self._notes[shard] = notes
                progress.finished(shard, self._everyone())
                self._check_hope()

        work_in_lanes(self.trainers, self._queue(missing, worker, claims), train, self._stop)

    def _queue(self, missing: list[int], worker: Worker, claims: Claims) -> Iterator[int]:
        """Yields this worker's own shards, and then, from the end, all other unclaimed ones."""
        own = [shard for shard in missing if shard % worker.count == worker.number]
        others = [shard for shard in reversed(missing) if shard % worker.count != worker.number]
        for shard in own + others:
            written = self.shards.folder.exists(self.shards.name(shard))
            if written and shard not in self._notes:
                continue  # another worker finished it in the meantime
            if claims.take(_claim(shard)):
                yield shard

    def _left(self, claims: Claims) -> tuple[list[int], dict[str, int]]:
        """The missing shards without a worker, and the number of trials of each other worker."""
        free: list[int] = []
        elsewhere: dict[str, int] = {}
        for shard in self.missing():
            holder = claims.holder(_claim(shard))
            if holder:
                trials = elsewhere.get(str(holder), 0) + len(self.shards.ids(shard))
                elsewhere[str(holder)] = trials
            else:
                free.append(shard)
        return free, elsewhere

    def _check_hope(self) -> None:
        everyone = self._everyone()
        if len(everyone) >= _HOPELESS and all(note.diverged for note in everyone):
            raise self._hopeless()

    def _hopeless(self) -> InputError:
        reason = "their loss is not finite"
        if self._training.exclude_unlearned:
            reason += (
                ", or on their own subset they are no better than the most frequent class, which "
                "training.exclude_unlearned leaves out"
            )
        rate = f"training.learning_rate is {self._training.learning_rate}"
        if self._own_model:
            rate = "the learning rate of the model's optimizer may be too high"
        return InputError(f"every trial diverged: {reason}; {rate}")


def _claim(shard: int) -> str:
    """The name of a shard's claim."""
    return f"{shard:05d}"
