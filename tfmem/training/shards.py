"""The shards of a run: the trials that each holds, and the record of each trial.

A shard holds the trials of one stack, and stack `s` always begins with trial `s * stack_size`. So
every worker that trains a shard writes the same records, whenever it does so.
"""

from __future__ import annotations

import io

import numpy as np

from tfmem.config import Config, from_yaml
from tfmem.messages.errors import InputError
from tfmem.store.bits import pack, unpack
from tfmem.store.confidence import to_bytes
from tfmem.store.folders import Folder
from tfmem.store.labels import Labels
from tfmem.store.predictions import CONFIG_NAME, TrialRecord
from tfmem.store.shards import parse_shard, predictions_name
from tfmem.subsets import Subsets, Trial
from tfmem.subsets.stacks import check_stacks
from tfmem.training.learning import is_left_out
from tfmem.training.outcome import TrialOutcome


class Shards:
    """The prediction shards of a run in a folder."""

    def __init__(
        self,
        config: Config,
        labels: Labels,
        subsets: Subsets,
        folder: Folder,
        stack_size: int,
    ) -> None:
        """Plans shards of `stack_size` trials.

        Raises:
          InputError: if subsets of trials that share a stack differ in size.
        """
        self._config = config
        self._fingerprint = labels.dataset_fingerprint
        self._labels = labels.train_labels
        self._num_test = len(labels.test_labels)
        self._subsets = subsets
        self.folder = folder
        self.stack_size = stack_size
        self.count = -(-config.training.trials // stack_size)
        check_stacks(subsets, stack_size)

    def ids(self, shard: int) -> range:
        """The trials of a shard."""
        first = shard * self.stack_size
        return range(first, min(first + self.stack_size, self._config.training.trials))

    def trials(self, shard: int) -> list[Trial]:
        """The trials of a whole stack, even beyond the run's last: its shape never changes."""
        first = shard * self.stack_size
        return [Trial(first + i, self._config.seed) for i in range(self.stack_size)]

    def subset(self, trial: Trial) -> np.ndarray:
        """The indices of the examples that a trial is trained on, int64 `[m]`."""
        return self._subsets.subset(trial.trial_id)

    def name(self, shard: int) -> str:
        """The name of a shard's file."""
        return predictions_name(shard, self.count)

    def check_settings(self) -> None:
        """Refuses to go on if the settings in the folder have changed in the meantime.

        Raises:
          InputError: if the folder is for more trials now, or another worker chose another stack
            size.
        """
        path = self.folder.path(CONFIG_NAME)
        try:
            contents = self.folder.read(CONFIG_NAME).decode(errors="replace")
        except FileNotFoundError:
            return
        now = from_yaml(contents, source=path).training
        mine = self._config.training
        for key in ("trials", "stack_size"):
            if getattr(now, key) not in (None, getattr(mine, key)):
                raise InputError(
                    f"{path}: training.{key} became {getattr(now, key)} while a worker was at work "
                    f"with {getattr(mine, key)}: start it again with the new settings"
                )

    def read(self, shard: int, name: str) -> list[TrialRecord]:
        """The records of a shard.

        Raises:
          InputError: if the shard is damaged, or holds other trials or those of another run.
        """
        path = self.folder.path(name)
        records = list(parse_shard(io.BytesIO(self.folder.read(name)), path))
        expected = (self._fingerprint, self._config.digest())
        for number, record in enumerate(records):
            where = f"{path}: record {number}"
            if record.trial_id not in self.ids(shard):
                raise InputError(
                    f"{where}: expected a trial of {self.ids(shard)}, received {record.trial_id}"
                )
            if (record.dataset_fingerprint, record.config_digest) != expected:
                raise InputError(f"{where}: made with other data or other settings")
        return records

    def record(self, trial: Trial, outcome: TrialOutcome) -> TrialRecord:
        """The prediction record of a trained trial."""
        num_train, training = len(self._labels), self._config.training
        subset = self.subset(trial)
        mask = np.zeros(num_train, bool)
        mask[subset] = True
        keep = training.probabilities
        train, test = outcome.train, outcome.test
        seen = None if train.correct is None else train.correct[subset], self._labels[subset]
        return TrialRecord(
            trial_id=trial.trial_id,
            seed=trial.run_seed,
            num_train=num_train,
            num_test=self._num_test,
            subset_mask=pack(mask),
            train_correct=_bits(train.correct),
            test_correct=_bits(test.correct),
            dataset_fingerprint=self._fingerprint,
            config_digest=self._config.digest(),
            train_score=_floats(train.score),
            test_score=_floats(test.score),
            score=train.name.encode(),
            train_margin=_halves(train.margin) if keep else b"",
            test_margin=_halves(test.margin) if keep else b"",
            diverged=int(is_left_out(outcome.loss, *seen, training)),
        )

    def accuracies(self, record: TrialRecord) -> tuple[float, float]:
        """Accuracy of a trial's model on its own subset and on the test examples.

        It is the mean score where the task cannot say what is correct.
        """
        mask = unpack(record.subset_mask, record.num_train)
        if record.train_correct:
            train = unpack(record.train_correct, record.num_train)
            test = unpack(record.test_correct, record.num_test)
        else:
            train, test = (np.frombuffer(part, "<f4").astype(np.float64)
                           for part in (record.train_score, record.test_score))  # fmt: skip
        return float(train[mask].mean()), float(test.mean()) if len(test) else float("nan")


def _bits(correct: np.ndarray | None) -> bytes:
    return b"" if correct is None else pack(correct)


def _floats(score: np.ndarray | None) -> bytes:
    return b"" if score is None else score.astype("<f4").tobytes()


def _halves(margin: np.ndarray | None) -> bytes:
    return b"" if margin is None else to_bytes(margin)
