"""The record of a trial: its subset, and how its model did on every example.

A record is a `tf.train.Example`, so `tf.io.parse_single_example` alone can read it. This module
reads and writes it without TensorFlow, because Beam workers do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.confidence import Confidence, from_bytes
from tfmem.store.records import decode_example, encode_example, feature
from tfmem.store.scores import check_finite, check_name, scores_from_bytes

CONFIG_NAME = "config.yaml"  # of the run that the predictions beside it are of
_BITS = ("train_correct", "test_correct")
_NUMBERS = {  # bytes an example of optional features
    **dict.fromkeys(("train_margin", "test_margin", "train_prob", "test_prob"), 2),
    **dict.fromkeys(("train_score", "test_score"), 4),
}
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

    A record holds which predictions are right, or scores, or both. Test features are empty where
    there are no test examples.

    Attributes:
      trial_id: number of the trial, from 0.
      seed: seed of the run; with `trial_id` it decides everything random in the trial.
      num_train: number of training examples `n`.
      num_test: number of test examples `n'`.
      subset_mask: packed `[num_train]`, set where the example was trained on.
      dataset_fingerprint: hash of the data set.
      config_digest: hash of the settings that decide the predictions.
      train_correct: packed `[num_train]`, set where the model's prediction is the label; empty
        where predictions have none.
      test_correct: packed `[num_test]`, likewise.
      train_margin: float16 `[num_train]`, how sure the model is of the true label, as bytes (see
        `tfmem.store.confidence`); may be empty.
      test_margin: float16 `[num_test]`, likewise.
      train_prob: float16 `[num_train]`, of earlier versions: the probability of the true label in
        place of its margin, as bytes.
      test_prob: float16 `[num_test]`, likewise.
      train_score: float32 `[num_train]`, the score of each example as bytes (see
        `tfmem.store.scores`); more is better; may be empty.
      test_score: float32 `[num_test]`, likewise.
      score: the name of the score.
      diverged: 1 if the loss was not finite, or the model is excluded because it learned nothing
        (see `tfmem.training.learning`); estimates leave such a trial out.
    """

    trial_id: int
    seed: int
    num_train: int
    num_test: int
    subset_mask: bytes
    dataset_fingerprint: bytes
    config_digest: bytes
    train_correct: bytes = b""
    test_correct: bytes = b""
    train_margin: bytes = b""
    test_margin: bytes = b""
    train_prob: bytes = b""
    test_prob: bytes = b""
    train_score: bytes = b""
    test_score: bytes = b""
    score: bytes = b""
    diverged: int = 0

    def to_example(self) -> bytes:
        """The record as a serialized `tf.train.Example`.

        Raises:
          InputError: naming the trial and the example whose score is NaN or infinite, unless the
            trial diverged; or if scores have no name.
        """
        self._check_scores(f"trial {self.trial_id}")
        features = {name: value for name, value in vars(self).items() if value != b""}
        for split in ("correct", "score"):  # tests have none of either without test examples
            if f"train_{split}" in features:
                features.setdefault(f"test_{split}", b"")
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
        blobs = {"subset_mask": feature(features, "subset_mask", bytes, source)}
        has_scores = "train_score" in features
        if not has_scores or any(name in features for name in _BITS):
            blobs |= {name: feature(features, name, bytes, source) for name in _BITS}
        for name, blob in blobs.items():
            _check_bits(
                blob,
                numbers["num_test" if name == "test_correct" else "num_train"],
                f"{source}: {name}",
            )
        for name, width in _NUMBERS.items():
            if name in features:
                blobs[name] = feature(features, name, bytes, source)
                expected = width * numbers["num_train" if name.startswith("train") else "num_test"]
                if len(blobs[name]) != expected:
                    raise InputError(
                        f"{source}: {name}: expected {expected} bytes of float{8 * width}, "
                        f"received {len(blobs[name])}"
                    )
        if has_scores or "test_score" in features:
            for name in ("train_score", "test_score", "score"):
                blobs[name] = feature(features, name, bytes, source)
        for name in ("dataset_fingerprint", "config_digest"):
            blobs[name] = feature(features, name, bytes, source)
        if "diverged" in features:
            numbers["diverged"] = feature(features, "diverged", int, source)
        record = cls(**numbers, **blobs)
        record._check_scores(f"{source}: trial {record.trial_id}")
        return record

    def _check_scores(self, where: str) -> None:
        if not self.has_scores:
            return
        check_name(self.score, f"{where}: score")
        if not self.diverged:
            check_finite(self.scores("train"), f"{where}: train_score")
            check_finite(self.scores("test"), f"{where}: test_score")

    @property
    def has_scores(self) -> bool:
        """Whether the record holds scores."""
        return bool(self.train_score)

    @property
    def has_correctness(self) -> bool:
        """Whether the record says which predictions are right."""
        return bool(self.train_correct)

    @property
    def score_name(self) -> str:
        """The name of the record's score; empty if it holds none."""
        return self.score.decode(errors="replace")

    def scores(self, split: Split) -> np.ndarray:
        """The score of each example, float32 `[count]`; empty if the record holds none.

        Args:
          split: training or test examples.
        """
        values: bytes = getattr(self, f"{split}_score")
        return scores_from_bytes(values)

    def check_correctness(self, source: str) -> None:
        """Refuses a record that does not say which predictions are right.

        Args:
          source: what errors call the record.

        Raises:
          InputError: naming what the record holds.
        """
        if not self.has_correctness:
            raise InputError(
                f"{source}: trial {self.trial_id}: expected which predictions are right "
                f"('train_correct', 'test_correct'), received only the score {self.score_name!r}"
            )

    def correctness(self, split: Split, source: str) -> np.ndarray:
        """Which examples the model is right on, bool `[count]`; see `check_correctness`."""
        self.check_correctness(source)
        values: bytes = getattr(self, f"{split}_correct")
        return unpack(values, self.num_train if split == "train" else self.num_test)

    def outcome(self, split: Split) -> np.ndarray:
        """Which examples the model is right on, or float64 scores where the record does not say.

        Args:
          split: training or test examples.
        """
        if self.has_correctness:
            return self.correctness(split, "")
        return self.scores(split).astype(np.float64)

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

    def only_bits(self) -> TrialRecord:
        """The record without what estimates of correctness do not need."""
        cleared: dict[str, Any] = dict.fromkeys((*_NUMBERS, "score"), b"")
        return replace(self, **cleared)


def _check_bits(packed: bytes, count: int, where: str) -> None:
    if len(packed) != -(-count // 8):
        raise InputError(f"{where}: expected {-(-count // 8)} bytes, received {len(packed)}")
    if count % 8 and packed[-1] >> count % 8:
        raise InputError(f"{where}: bits are set beyond its {count} examples")
