"""Writes the predictions of anyone's own training loop, so that tfmem estimates from them."""

from __future__ import annotations

import hashlib
import io
import operator
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tfmem.config.steps import TaskName
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.given import given_dataset
from tfmem.datasets.kept import labels_of, unseen_dataset
from tfmem.datasets.saved import save_dataset, saved_fingerprint
from tfmem.exchange.own_outcomes import Kind, nothing_correct, read_outcome, read_subset, said
from tfmem.messages.errors import InputError
from tfmem.store.artifacts import Examples, Predictions
from tfmem.store.bits import pack
from tfmem.store.folders import open_folder
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.predictions import CONFIG_NAME, TrialRecord
from tfmem.store.records import write_records
from tfmem.store.shards import parse_shard

_NAME = "predictions-trial-{:05d}.tfrecord"
_PARSED = re.compile(r"predictions-trial-(\d{5,})\.tfrecord")
_DIGEST = hashlib.sha256(b"tfmem.PredictionWriter").digest()  # settings are the user's own


class PredictionWriter:
    """Writes which examples each model was trained on, and how it does on all of them.

    Models may be trained by anything, anywhere: PyTorch, JAX, a cluster. Each trial is a file of
    its own that appears when it is complete, so several processes may write into one folder, and a
    loop that was interrupted goes on with what is missing::

        with tfmem.PredictionWriter("runs/mine", y_train, y_test) as writer:
            for trial in writer.missing(500):
                mask = np.random.default_rng(trial).random(len(y_train)) < 0.7
                model.fit(x_train[mask], y_train[mask])
                writer.write(trial, mask, train_correct=model.predict(x_train) == y_train,
                             test_correct=model.predict(x_test) == y_test)
        run = tfmem.estimate("runs/mine")

    Attributes:
      labels: what is known about the examples; `labels.class_names` is the order of logits.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        train_labels: Any,
        test_labels: Any = None,
        *,
        class_names: Sequence[str] | None = None,
        task: TaskName = "classes",
        train_ids: Sequence[Any] | None = None,
        test_ids: Sequence[Any] | None = None,
        train_images: Any = None,
        test_images: Any = None,
    ) -> None:
        """Opens a folder for the trials of one data set, or makes it.

        Args:
          folder: receives `predictions` and, if images are given, `data`; without images also a
            bucket, such as `gs://bucket/run`. `tfmem.estimate` reads it.
          train_labels: `[num_train]` classes, as names, whole numbers, or one-hot; the order of the
            examples is the order of all that is written. Other targets, such as a regression's
            numbers, are no classes: their trials have scores.
          test_labels: likewise `[num_test]`; None if there are no test examples.
          class_names: names of the classes, in the order of their numbers and of logits. None takes
            the labels that there are, in numerical or alphabetical order.
          task: what labels are: `classes`, or targets of a `regression`, of `multi_label` or of
            `sequence` models; `auto` takes what they look like, as `tfmem.run` does.
          train_ids: your names of the training examples, shown in tables and on pages.
          test_ids: those of the test examples.
          train_images: examples for figures and pages: images `[num_train, height, width,
            channels]`, features `[num_train, width]`, texts `[num_train]`, or a table.
          test_images: those of the test examples.

        Raises:
          InputError: if labels cannot be used, or the folder has predictions of other examples, or
            a run of tfmem's own.
        """
        self._folder = open_folder(os.fspath(folder)).child(Predictions.place)
        self._kind: Kind | None = None
        if test_images is not None and train_images is None:
            raise InputError("train_images: expected with test_images, received none")
        if train_images is not None and (test_images is None) != (test_labels is None):
            raise InputError("test_images: expected if and only if there are test_labels")
        name = Path(folder).absolute().name
        try:
            if train_images is None:
                data: Dataset | StructuredDataset = unseen_dataset(
                    name, train_labels, test_labels, task=task, ids=train_ids, test_ids=test_ids,
                    class_names=class_names,
                )  # fmt: skip
            else:
                tests = None if test_labels is None else (test_images, test_labels)
                data = given_dataset(
                    name, (train_images, train_labels), tests, task=task, ids=train_ids,
                    test_ids=test_ids, class_names=class_names,
                )  # fmt: skip
        except InputError as error:
            raise InputError(f"{error} (task= says what labels are that are no classes)") from None
        self.labels = labels_of(data)
        self._begin(Path(folder) / Examples.place, None if train_images is None else data)

    def _begin(self, examples: Path, data: Dataset | StructuredDataset | None) -> None:
        """Writes examples and labels, unless they are there."""
        if self._folder.exists(CONFIG_NAME):
            raise InputError(
                f"{self._folder}: holds predictions of tfmem's own training: choose another folder"
            )
        self._folder.make()
        self._folder.remove_temporary()
        if self._folder.exists(LABELS_NAME):
            self._check_labels(self._folder.read(LABELS_NAME))
        if data is not None and saved_fingerprint(examples) != data.fingerprint:
            save_dataset(data, examples)
        self._check_labels(self._folder.create(LABELS_NAME, self.labels.to_npz()))

    def _check_labels(self, contents: bytes) -> None:
        path = self._folder.path(LABELS_NAME)
        if Labels.from_npz(contents, path).dataset_fingerprint != self.labels.dataset_fingerprint:
            raise InputError(
                f"{path}: the trials there are of other examples, labels or images: give the same "
                "in the same order, or choose another folder"
            )

    def __enter__(self) -> PredictionWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Does nothing: what was written is complete, and what was not is not there."""

    def __repr__(self) -> str:
        train, test = len(self.labels.train_labels), len(self.labels.test_labels)
        return (
            f"PredictionWriter({str(self._folder)!r}: {train:,} training, {test:,} test examples)"
        )

    def missing(self, trials: int | Iterable[int]) -> list[int]:
        """Trials that nobody has written yet, ascending.

        Args:
          trials: the number of trials that there shall be, or their numbers.
        """
        wanted = range(trials) if isinstance(trials, int) else trials
        return sorted({_number(trial) for trial in wanted} - self._there().keys())

    def _there(self) -> dict[int, str]:
        """The names of files by the numbers of their trials."""
        parsed = ((_PARSED.fullmatch(name), name) for name in self._folder.names())
        return {int(match[1]): name for match, name in parsed if match}

    def write(
        self,
        trial: int,
        subset: Any,
        *,
        train_correct: Any = None,
        test_correct: Any = None,
        train_logits: Any = None,
        test_logits: Any = None,
        train_scores: Any = None,
        test_scores: Any = None,
        score: str = "score",
        diverged: bool = False,
    ) -> None:
        """Writes one trial: the subset that its model was trained on, and how the model does.

        Predictions are those of the trained model on all training examples, in the subset or not,
        and on all test examples. Give whether they are correct, or logits, or scores, the same for
        every trial; scores may be added to one of the others.

        Args:
          trial: number of the trial, from 0.
          subset: the examples that the model was trained on: bool `[num_train]`, or their indices.
          train_correct: `[num_train]` of False and True or 0 and 1.
          test_correct: `[num_test]`, likewise.
          train_logits: `[num_train, classes]`, outputs before softmax, in the order of
            `labels.class_names`; of two classes also `[num_train]`, that of the second class.
            Probabilities are not logits: give their logarithms.
          test_logits: `[num_test, classes]`, likewise.
          train_scores: `[num_train]`, any finite numbers, of which more is better, such as minus
            the loss.
          test_scores: `[num_test]`, likewise.
          score: name of the scores, such as `negative squared error`.
          diverged: whether the training failed, so that estimates leave the trial out; then `write`
            needs no predictions.

        Raises:
          InputError: if the trial has been written, or naming the array, and the example in it,
            that cannot be used. Nothing is written then.
        """
        trial = _number(trial)
        name, where = _NAME.format(trial), f"trial {trial}"
        if self._folder.exists(name):
            raise InputError(f"{where}: is already in {self._folder.path(name)}")
        labels = self.labels
        classes = len(labels.class_names) if labels.has_classes else 0
        train = read_outcome(
            labels.train_labels, classes, (train_correct, train_logits, train_scores),
            "train", where,
        )  # fmt: skip
        test = read_outcome(
            labels.test_labels, classes, (test_correct, test_logits, test_scores), "test", where
        )
        if diverged and not train.names:
            train, test = nothing_correct(labels.train_labels), nothing_correct(labels.test_labels)
        elif train.names != test.names and (len(labels.test_labels) or test.names):
            raise InputError(
                f"{where}: expected the same of training and test examples, received "
                f"{said(train.names, 'train')} and {said(test.names, 'test')}"
            )
        kind = Kind(train.names, score if "scores" in train.names else "")
        if not diverged:
            self._check_kind(kind, where)
        record = TrialRecord(
            trial_id=trial,
            seed=0,
            num_train=len(labels.train_labels),
            num_test=len(labels.test_labels),
            subset_mask=pack(read_subset(subset, len(labels.train_labels), where)),
            dataset_fingerprint=labels.dataset_fingerprint,
            config_digest=_DIGEST,
            score=kind.score.encode(),
            diverged=int(diverged),
            **train.features("train"),
            **test.features("test"),
        )
        file = io.BytesIO()
        write_records(file, [record.to_example()])
        if self._folder.create(name, file.getvalue()) != file.getvalue():
            raise InputError(f"{where}: another process has just written {self._folder.path(name)}")
        if not diverged:
            self._kind = kind

    def _check_kind(self, kind: Kind, where: str) -> None:
        """Checks that a trial has predictions of the kind that another trial has."""
        if not kind.names:
            raise InputError(
                f"{where}: expected train_correct, train_logits or train_scores, received none"
            )
        expected = self._kind or self._kind_there()
        if expected not in (None, kind):
            raise InputError(
                f"{where}: expected {expected} as in the trials before, received {kind}"
            )

    def _kind_there(self) -> Kind | None:
        """The kind of predictions in the first trial that has some."""
        for _, name in sorted(self._there().items()):
            with self._folder.open(name) as file:
                for record in parse_shard(file, self._folder.path(name)):
                    if not record.diverged:
                        return Kind.of(record)
        return None


def _number(trial: Any) -> int:
    try:
        number = operator.index(trial)
    except TypeError:
        number = -1
    if number < 0 or isinstance(trial, bool):
        raise InputError(f"trial: expected a whole number from 0, received {trial!r}")
    return number
