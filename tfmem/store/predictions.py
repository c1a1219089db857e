"""The record of a trial: its subset, and which examples its model predicted correctly.

A record is a `tf.train.Example`, so `tf.io.parse_single_example` alone can read it. This module
reads and writes it without TensorFlow, because Beam workers do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.confidence import Confidence, from_bytes
from tfmem.store.records import decode_example, encode_example, feature

CONFIG_NAME = "config.yaml"  # of the run that the predictions beside it are of
_CONFIDENCES = ("train_margin", "test_margin", "train_prob", "test_prob")
Split = Literal["train", "test"]


class RunIdentity(NamedTuple):
    """The values that all records of one run share, by the names of features.

    Attributes:
      seed: seed of the run.
      config_digest: hash of the settings that decide the predictions.
      dataset_fingerprint: hash of the data set.
    """

    seed: int
    config_digest: bytes
    dataset_fingerprint: bytes


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

    @staticmethod
    def confidence_features(split: Split) -> tuple[str, str]:
        """The feature that `confidence` reads, and that of earlier versions."""
        return f"{split}_margin", f"{split}_prob"

    def had_finite_loss(self) -> bool | None:
        """Whether probabilities of an earlier version's record are numbers, as after a finite loss.

        Returns:
          None if the record holds no probabilities.
        """
        if not self.train_prob:
            return None
        return bool(np.isfinite(np.frombuffer(self.train_prob, "<f2")).all())

    @property
    def run(self) -> RunIdentity:
        """The values that the record shares with the other records of its run."""
        return RunIdentity(self.seed, self.config_digest, self.dataset_fingerprint)

    def without_confidence(self) -> TrialRecord:
        """The record without what only estimates of probabilities need."""
        return replace(self, train_margin=b"", test_margin=b"", train_prob=b"", test_prob=b"")


def _check_bits(packed: bytes, count: int, where: str) -> None:
    if len(packed) != -(-count // 8):
        raise InputError(f"{where}: expected {-(-count // 8)} bytes, received {len(packed)}")
    if count % 8 and packed[-1] >> count % 8:
        raise InputError(f"{where}: bits are set beyond its {count} examples")
