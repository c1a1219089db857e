"""The records of estimates: what is in them, how they are spread over files, how they are read.

Files depend on the data set alone, never on runner, sharding or order: memorization is spread by
index, influence by class, pairs are one file. Records of memorization and influence hold
`probability` = 1 where the statistic is that, and nothing of that name where it is correctness.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts, TrainCounts, influence, memorization
from tfmem.records import decode_example, encode_example, feature
from tfmem.selection.settling import Selection

KINDS = ("predictions", "memorization", "influence", "pairs")  # folders of a run
_NAMES = "train_index", "test_index", "num_in"
_COUNT_NAMES = "train_correct", "train_correct_in", "test_correct"


def memorization_table(counts: TrainCounts) -> dict[str, np.ndarray]:
    """The columns of memorization records, in the order of `counts.index`.

    Where the statistic is probability, the accuracies are mean probabilities of the true label.
    """
    estimate = memorization(counts)
    correct_out = counts.correct - counts.correct_in
    of_probability = {} if counts.uncertain is None else {"probability": np.ones_like(counts.index)}
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "index": counts.index,
            "label": counts.label,
            "n_in": counts.num_in,
            "n_out": counts.num_out,
            "memorization": estimate.value,
            "stderr": estimate.stderr,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "accuracy_in": counts.correct_in / counts.num_in,
            "accuracy_out": correct_out / counts.num_out,
            **of_probability,
        }


def influence_record(counts: ClassCounts) -> tuple[int, bytes]:
    """The record of a class, with its label: its influence block and the sums behind it.

    Those of probabilities are bytes of float64: `train_sums` `[4, train]` (of `p`, of `p` with the
    example in the subset, and both likewise of `p (1 - p)`), `test_sums` `[2, test]` and
    `test_sums_in` `[2, train, test]` (of `p` and of `p (1 - p)`).
    """
    train = counts.train
    features: dict[str, Any] = {
        "label": counts.label,
        "axes": b"train,test",
        "influence": influence(counts).value.astype("<f4").tobytes(),
        "num_trials": train.num_trials,
        "train_index": train.index,
        "num_in": train.num_in,
        "test_index": counts.test_index,
    }
    if counts.statistic == "probability":
        features |= {
            "probability": 1,
            "train_sums": _bytes(
                train.correct, train.correct_in, train.uncertain, train.uncertain_in
            ),
            "test_sums": _bytes(counts.test_correct, counts.test_uncertain),
            "test_sums_in": _bytes(counts.test_correct_in, counts.test_uncertain_in),
        }
    else:
        features |= {
            "train_correct": train.correct,
            "train_correct_in": train.correct_in,
            "test_correct": counts.test_correct,
            "test_correct_in": counts.test_correct_in.astype("<i4").tobytes(),
        }
    return counts.label, encode_example(features)


def _bytes(*sums: np.ndarray | None) -> bytes:
    return np.array(sums, "<f8").tobytes()


def parse_influence(payload: bytes, source: str) -> ClassCounts:
    """The counts, or sums of probabilities, in a record that `influence_record` made.

    Raises:
      InputError: naming `source`, if a part is missing or of a wrong length.
    """
    features = decode_example(payload, source)
    of_probability = "probability" in features
    names = _NAMES if of_probability else (*_NAMES, *_COUNT_NAMES)
    arrays = {name: feature(features, name, np.ndarray, source) for name in names}
    train, test = len(arrays["train_index"]), len(arrays["test_index"])
    for name, array in arrays.items():
        expected = test if name.startswith("test") else train
        if len(array) != expected:
            raise InputError(f"{source}: {name}: expected {expected} values, received {len(array)}")
    if of_probability:
        train_sums = [*_block(features, "train_sums", "<f8", (4, train), source)]
        tests = _block(features, "test_sums", "<f8", (2, test), source)
        blocks = _block(features, "test_sums_in", "<f8", (2, train, test), source)
        test_sums = [tests[0], blocks[0], tests[1], blocks[1]]
    else:
        block = _block(features, "test_correct_in", "<i4", (train, test), source)
        train_sums = [arrays["train_correct"], arrays["train_correct_in"]]
        test_sums = [arrays["test_correct"], block]
    label = feature(features, "label", int, source)
    num_trials = feature(features, "num_trials", int, source)
    labels = np.full(train, label, np.int64)
    return ClassCounts(
        label,
        TrainCounts(num_trials, arrays["train_index"], labels, arrays["num_in"], *train_sums),
        arrays["test_index"],
        *test_sums,
    )


def _block(
    features: dict[str, Any], name: str, kind: str, shape: tuple[int, ...], source: str
) -> np.ndarray:
    block = feature(features, name, bytes, source)
    expected = np.dtype(kind).itemsize * math.prod(shape)
    if len(block) != expected:
        raise InputError(
            f"{source}: {name}: expected {expected} bytes for {' x '.join(map(str, shape))} "
            f"numbers, received {len(block)}"
        )
    return np.frombuffer(block, kind).reshape(shape)


def pairs_table(selection: Selection) -> dict[str, np.ndarray]:
    """The columns of pair records, most influential first."""
    return vars(selection.pairs)


def selection_table(selection: Selection) -> dict[str, np.ndarray]:
    """The columns of the one record that says what the pairs were selected from."""
    return {
        "pairs": np.array([len(selection.pairs.train_index)]),
        "tested": np.array([selection.tested]),
        "expected_by_chance": np.array([selection.expected]),
    }
