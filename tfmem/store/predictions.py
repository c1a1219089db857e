"""What a trial leaves behind: one record with its subset and which examples its model got right.

A record is a `tf.train.Example`, so `tf.io.parse_single_example` alone can read it. This module
reads and writes it without TensorFlow, because Beam workers do.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.confidence import Confidence, from_bytes
from tfmem.store.files import write_atomically
from tfmem.store.npz import NpzFile
from tfmem.store.records import decode_example, encode_example, feature, read_records

LABELS_NAME = "labels.npz"
CONFIG_NAME = "config.yaml"  # of the run that the predictions beside it are of
MOST_CLASSES = 1 << 20
_CONFIDENCES = ("train_margin", "test_margin", "train_prob", "test_prob")
Split = Literal["train", "test"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial's subset and predictions, bits in index order (see `tfmem.store.bits.pack`).

    Attributes:
      trial_id: number of the trial, from 0.
      seed: seed of the run; with `trial_id` it decides everything random in the trial.
      num_train: number of training examples `n`.
      num_test: number of test examples `n'`.
      subset_mask: packed `[num_train]`, set where the example was trained on.
      train_correct: packed `[num_train]`, set where the model's prediction is the label.
      test_correct: packed `[num_test]`, likewise.
      dataset_fingerprint: hash of the data set.
      config_digest: hash of the settings that decide the predictions.
      train_margin: float16 `[num_train]`, how sure the model is of the true label, as bytes (see
        `tfmem.store.confidence`); may be empty.
      test_margin: float16 `[num_test]`, likewise.
      train_prob: float16 `[num_train]`, of earlier versions: the probability of the true label in
        place of its margin, as bytes.
      test_prob: float16 `[num_test]`, likewise.
      diverged: 1 if the loss was not finite, or the model is excluded because it learned nothing
        (see `tfmem.training.learning`); estimates leave such a trial out.
    """

    trial_id: int
    seed: int
    num_train: int
    num_test: int
    subset_mask: bytes
    train_correct: bytes
    test_correct: bytes
    dataset_fingerprint: bytes
    config_digest: bytes
    train_margin: bytes = b""
    test_margin: bytes = b""
    train_prob: bytes = b""
    test_prob: bytes = b""
    diverged: int = 0

    def to_example(self) -> bytes:
        """The record as a serialized `tf.train.Example`."""
        features = {
            name: value
            for name, value in vars(self).items()
            if value != b"" or name == "test_correct"  # which has no bits without test examples
        }
        if not self.diverged:
            del features["diverged"]
        return encode_example(features)

    @classmethod
    def from_example(cls, payload: bytes, source: str) -> TrialRecord:
        """Reads and checks a record.

        Raises:
          InputError: naming `source` and the feature that is missing or of a wrong length.
        """
        features = decode_example(payload, source)
        numbers = {
            name: feature(features, name, int, source)
            for name in ("trial_id", "seed", "num_train", "num_test")
        }
        for name in ("trial_id", "num_train", "num_test"):
            if numbers[name] < 0:
                raise InputError(f"{source}: {name}: expected at least 0, received {numbers[name]}")
        blobs = {
            name: feature(features, name, bytes, source)
            for name in ("subset_mask", "train_correct", "test_correct")
        }
        for name, blob in blobs.items():
            _check_bits(
                blob,
                numbers["num_test" if name == "test_correct" else "num_train"],
                f"{source}: {name}",
            )
        for name in _CONFIDENCES:
            if name in features:
                blobs[name] = feature(features, name, bytes, source)
                expected = 2 * numbers["num_train" if name.startswith("train") else "num_test"]
                if len(blobs[name]) != expected:
                    raise InputError(
                        f"{source}: {name}: expected {expected} bytes of float16, "
                        f"received {len(blobs[name])}"
                    )
        for name in ("dataset_fingerprint", "config_digest"):
            blobs[name] = feature(features, name, bytes, source)
        if "diverged" in features:
            numbers["diverged"] = feature(features, "diverged", int, source)
        return cls(**numbers, **blobs)

    def confidence(self, split: Split, source: str) -> Confidence | None:
        """How sure the model is of true labels; None if the record does not say.

        Args:
          split: training or test examples.
          source: what errors call the record.

        Raises:
          InputError: if a value is impossible.
        """
        for kind in ("margin", "prob"):
            values: bytes = getattr(self, f"{split}_{kind}")
            if values or not (self.num_train if split == "train" else self.num_test):
                return from_bytes(values, kind == "margin", f"{source}: {split}_{kind}")
        return None

    def without_confidence(self) -> TrialRecord:
        """The record without what only estimates of probabilities need."""
        return replace(self, train_margin=b"", test_margin=b"", train_prob=b"", test_prob=b"")


def _check_bits(packed: bytes, count: int, where: str) -> None:
    if len(packed) != -(-count // 8):
        raise InputError(f"{where}: expected {-(-count // 8)} bytes, received {len(packed)}")
    if count % 8 and packed[-1] >> count % 8:
        raise InputError(f"{where}: bits are set beyond its {count} examples")


@dataclass(frozen=True)
class Labels:
    """All that estimation needs of a data set.

    Attributes:
      train_labels: int64 `[num_train]` in index order.
      test_labels: int64 `[num_test]` in index order.
      class_names: one name a class.
      dataset_fingerprint: hash that records must carry; empty where unknown.
      clean_train_labels: int64 `[num_train]`, the labels before noise was added; None if none was.
    """

    train_labels: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    dataset_fingerprint: bytes = b""
    clean_train_labels: np.ndarray | None = None

    def pairs_in_class(self) -> int:
        """How many pairs of a training and a test example are of one class."""
        counts = [
            np.bincount(labels, minlength=len(self.class_names))
            for labels in (self.train_labels, self.test_labels)
        ]
        return int(counts[0] @ counts[1])

    def to_npz(self) -> bytes:
        """The contents of a `labels.npz`."""
        file = io.BytesIO()
        noise: dict[str, Any] = {}
        if self.clean_train_labels is not None:
            noise["clean_train_labels"] = np.asarray(self.clean_train_labels, np.int64)
        np.savez_compressed(
            file,
            train_labels=np.asarray(self.train_labels, np.int64),
            test_labels=np.asarray(self.test_labels, np.int64),
            class_names=np.array(self.class_names, np.str_),
            dataset_fingerprint=np.frombuffer(self.dataset_fingerprint, np.uint8),
            **noise,
        )
        return file.getvalue()

    @classmethod
    def from_npz(cls, contents: bytes, source: str) -> Labels:
        """Reads a `labels.npz`; all but `train_labels` and `test_labels` may be absent.

        Raises:
          InputError: if it is no such file, has an array of another name, or its labels are not
            those of classes 0, 1, ….
        """
        known = [field.name for field in fields(cls)]
        with NpzFile(contents, source) as arrays:
            if others := [name for name in arrays.names if name not in known]:
                raise InputError(
                    f"{source}: expected arrays {', '.join(known)}, received {others[0]!r}"
                )
            train, test = (
                class_numbers(arrays.array(name, "iu", ("examples",)), f"{source}: {name}")
                for name in ("train_labels", "test_labels")
            )
            classes = int(max(train.max(initial=-1), test.max(initial=-1))) + 1
            names: Iterable[object] = range(classes)
            if "class_names" in arrays:
                names = arrays.array("class_names", "iuU", ("classes",)).tolist()
            fingerprint = b""
            if "dataset_fingerprint" in arrays:
                fingerprint = arrays.array("dataset_fingerprint", "u", ("bytes",)).tobytes()
            clean = None
            if "clean_train_labels" in arrays:
                clean = class_numbers(
                    arrays.array("clean_train_labels", "iu", train.shape),
                    f"{source}: clean_train_labels",
                )
        class_names = tuple(map(str, names))
        if len(class_names) < classes:
            raise InputError(
                f"{source}: label {classes - 1} has no name ({len(class_names)} class_names)"
            )
        return cls(train, test, class_names, fingerprint, clean)


def class_numbers(values: np.ndarray, where: str) -> np.ndarray:
    """Class numbers as int64.

    Args:
      values: integers of any type and shape.
      where: file and array, for the message.

    Raises:
      InputError: naming the first that is negative, or too large for anything to be counted by
        class.
    """
    wrong = (values < 0) | (values >= MOST_CLASSES)
    if wrong.any():
        position = int(wrong.argmax())
        raise InputError(
            f"{where}: expected class numbers from 0, below {MOST_CLASSES:,}, received "
            f"{values.flat[position]} at position {position}"
        )
    return values.astype(np.int64)


def shards_in(folder: Path) -> list[str]:
    """The prediction shards of a folder, in order."""
    return [str(path) for path in sorted(folder.glob("predictions-*.tfrecord"))]


def read_shard(path: str | os.PathLike[str]) -> Iterator[TrialRecord]:
    """Yields the records of a local shard."""
    with open(path, "rb") as file:
        yield from parse_shard(file, str(path))


def parse_shard(file: BinaryIO, source: str) -> Iterator[TrialRecord]:
    """Yields the records of an open shard; `source` is what errors call it."""
    for payload, where in read_records(file, source):
        yield TrialRecord.from_example(payload, where)


def write_shard(path: Path, records: Iterable[TrialRecord]) -> None:
    """Writes a local shard; it appears under its name only when it is complete and on disk."""
    write_atomically(path, (record.to_example() for record in records))
