"""Imports a folder of released checkpoints' `aux_arrays.npz` as prediction records and labels."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from tfmem.exchange.aux_arrays import FILE_NAME, ReleasedRun, read_run
from tfmem.messages.errors import InputError
from tfmem.store.bits import pack
from tfmem.store.files import write_atomically
from tfmem.store.labels import LABELS_NAME, Labels, class_numbers
from tfmem.store.npz import NpzFile
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard

_TRIALS_A_SHARD = 64
_UNKNOWN_SEED = -1


def read_labels(path: Path) -> Labels:
    """Labels from a `labels.npz`, or from an npz file with the authors' `tr_labels`, `tt_labels`.

    Raises:
      InputError: if there is no such file, or its labels are not those of classes 0, 1, ….
    """
    with NpzFile(path) as file:
        if "tr_labels" not in file.names:
            return Labels.from_npz(path.read_bytes(), str(path))
        train, test = (
            class_numbers(file.array(name, "iu", ("examples",)), f"{path}: {name}")
            for name in ("tr_labels", "tt_labels")
        )
    classes = int(max(train.max(initial=-1), test.max(initial=-1))) + 1
    return Labels(train, test, tuple(str(label) for label in range(classes)))


@dataclass(frozen=True)
class Imported:
    """Facts about the imported predictions.

    Attributes:
      trials: number of trials.
      num_train: number of training examples.
      num_test: number of test examples.
      subset_size: examples in each subset.
      subset_accuracy: mean accuracy on subsets.
      held_out_accuracy: mean accuracy on the other training examples; NaN if there are none.
      test_accuracy: mean accuracy on test examples.
      label_p_value: how probable differences of test accuracy between classes as large as these are
        if labels have nothing to do with the examples (an F test); NaN without labels. With labels
        in the order of the index it is practically 0.
    """

    trials: int
    num_train: int
    num_test: int
    subset_size: int
    subset_accuracy: float
    held_out_accuracy: float
    test_accuracy: float
    label_p_value: float


def import_checkpoints(
    folder: Path,
    out: Path,
    labels: Labels | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Imported:
    """Writes the predictions of released checkpoints as prediction records.

    A trial has the number of its run's folder, or its rank if folders are not all called by
    different numbers. What is not known of the runs (seed, settings) is -1 and a hash of the sizes.

    Args:
      folder: where `aux_arrays.npz` files are, at any depth; all of one experiment and fraction.
      out: receives `predictions-SSSSS-of-NNNNN.tfrecord`, and `labels.npz` if there are labels; all
        of it at the end, or nothing.
      labels: labels of the data, in the order of the runs' index.
      progress: is told how many runs of how many are read.

    Raises:
      InputError: naming the file that cannot be used, if there is none, if runs are of different
        data or subset sizes (whose in and out groups would differ in more than the example), if
        labels are of another number of examples, or if the folder holds predictions.
    """
    paths = _find(folder)
    if next(out.glob("predictions-*.tfrecord"), None):
        raise InputError(f"--out {out}: holds predictions; choose another folder")
    sums = _Sums(paths[0], labels)
    fingerprint = labels.dataset_fingerprint if labels else b""
    if labels and not fingerprint:
        fingerprint = _digest(labels.train_labels.tobytes(), labels.test_labels.tobytes())
    count = -(-len(paths) // _TRIALS_A_SHARD)
    unfinished = out / f".unfinished-{uuid.uuid4().hex}"
    try:
        unfinished.mkdir(parents=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
    try:
        records = _records(paths, _numbers(paths), fingerprint, sums, progress)
        names = [shard_name("predictions", shard, count) for shard in range(count)]
        for name in names:
            shard = [record for _, record in zip(range(_TRIALS_A_SHARD), records, strict=False)]
            write_shard(unfinished / name, shard)
        if labels:
            named = replace(labels, dataset_fingerprint=fingerprint)
            write_atomically(out / LABELS_NAME, named.to_npz())
        for name in names:
            (unfinished / name).replace(out / name)
    except OSError as error:
        raise InputError(f"{error.filename or out}: {error.strerror}") from None
    finally:
        shutil.rmtree(unfinished)
    return sums.summary()


def _find(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    paths = sorted(folder.rglob(FILE_NAME), key=_natural)
    if not paths:
        raise InputError(f"{folder}: expected a file {FILE_NAME} for each run, found none")
    return paths


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in path.parts]


def _numbers(paths: list[Path]) -> list[int]:
    names = [path.parent.name for path in paths]
    numbers = [int(name) for name in names if re.fullmatch(r"[0-9]{1,18}", name)]
    return numbers if len(set(numbers)) == len(names) else list(range(len(names)))


def _digest(*parts: bytes) -> bytes:
    return hashlib.sha256(b"\0".join(parts)).digest()


class _Sums:
    """Checks that runs belong together, and sums up what they got right."""

    def __init__(self, first: Path, labels: Labels | None) -> None:
        self._first, self._labels = first, labels
        self.sizes: tuple[int, int, int] | None = None
        self._trials = 0
        self._accuracies: list[tuple[float, float]] = []

    def add(self, path: Path, run: ReleasedRun) -> None:
        sizes = (len(run.mask), len(run.test_correct), int(run.mask.sum()))
        if self.sizes is None:
            self._check_labels(path, sizes)
            self.sizes = sizes
            self._test_correct = np.zeros(sizes[1], np.int64)
        if sizes != self.sizes:
            raise InputError(
                f"{path}: expected {_words(self.sizes)} as in {self._first}, received "
                f"{_words(sizes)}; import each experiment and fraction into a folder of its own"
            )
        self._trials += 1
        self._test_correct += run.test_correct
        held_out = run.train_correct[~run.mask]
        self._accuracies.append((_mean(run.train_correct[run.mask]), _mean(held_out)))

    def _check_labels(self, path: Path, sizes: tuple[int, int, int]) -> None:
        if self._labels is None:
            return
        expected = (len(self._labels.train_labels), len(self._labels.test_labels))
        if sizes[:2] != expected:
            raise InputError(
                f"{path}: expected {expected[0]} training and {expected[1]} test examples, as many "
                f"as there are labels, received {sizes[0]} and {sizes[1]}"
            )

    def summary(self) -> Imported:
        num_train, num_test, subset_size = self.sizes or (0, 0, 0)
        subset, held_out = np.mean(self._accuracies, axis=0)
        accuracy = self._test_correct / self._trials
        p_value = np.nan
        classes = 0 if self._labels is None else len(np.unique(self._labels.test_labels))
        if self._labels is not None and classes > 1 and np.ptp(accuracy) > 0:
            from sklearn.feature_selection import f_classif  # takes a second

            p_value = f_classif(accuracy[:, None], self._labels.test_labels)[1][0]
        return Imported(
            self._trials, num_train, num_test, subset_size, float(subset), float(held_out),
            _mean(accuracy), float(p_value),
        )  # fmt: skip


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _words(sizes: tuple[int, int, int]) -> str:
    return f"{sizes[0]} training and {sizes[1]} test examples and subsets of {sizes[2]}"


def _records(
    paths: list[Path],
    numbers: list[int],
    fingerprint: bytes,
    sums: _Sums,
    progress: Callable[[int, int], None],
) -> Iterator[TrialRecord]:
    for done, (path, number) in enumerate(zip(paths, numbers, strict=True), start=1):
        run = read_run(path)
        sums.add(path, run)
        sizes = _digest(FILE_NAME.encode(), repr(sums.sizes).encode())
        yield TrialRecord(
            trial_id=number,
            seed=_UNKNOWN_SEED,
            num_train=len(run.mask),
            num_test=len(run.test_correct),
            subset_mask=pack(run.mask),
            train_correct=pack(run.train_correct),
            test_correct=pack(run.test_correct),
            dataset_fingerprint=fingerprint or sizes,
            config_digest=sizes,
        )
        progress(done, len(paths))
