"""The records of estimates: what is in them, how they are spread over files, how they are read.

Files depend on the data set alone, never on runner, sharding or order: memorization is spread by
index, influence by class, pairs are one file.
"""

from __future__ import annotations

import numpy as np

from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts, TrainCounts, influence, memorization
from tfmem.records import decode_example, encode_example, feature
from tfmem.selection import Selection

KINDS = ("predictions", "memorization", "influence", "pairs")  # folders of a run
_BLOCK_NAMES = ("train_index", "test_index", "num_in", "train_correct", "train_correct_in",
                "test_correct")  # fmt: skip


def memorization_table(counts: TrainCounts) -> dict[str, np.ndarray]:
    """The columns of memorization records, in the order of `counts.index`."""
    estimate = memorization(counts)
    correct_out = counts.correct - counts.correct_in
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
        }


def influence_record(counts: ClassCounts) -> tuple[int, bytes]:
    """The record of a class, with its label: its influence block and the counts behind it."""
    train = counts.train
    payload = encode_example(
        {
            "label": counts.label,
            "axes": b"train,test",
            "influence": influence(counts).value.astype("<f4").tobytes(),
            "num_trials": train.num_trials,
            "train_index": train.index,
            "num_in": train.num_in,
            "train_correct": train.correct,
            "train_correct_in": train.correct_in,
            "test_index": counts.test_index,
            "test_correct": counts.test_correct,
            "test_correct_in": counts.test_correct_in.astype("<i4").tobytes(),
        }
    )
    return counts.label, payload


def parse_influence(payload: bytes, source: str) -> ClassCounts:
    """The counts in a record that `influence_record` made.

    Raises:
      InputError: naming `source`, if a part is missing or of a wrong length.
    """
    features = decode_example(payload, source)
    arrays = {name: feature(features, name, np.ndarray, source) for name in _BLOCK_NAMES}
    train, test = len(arrays["train_index"]), len(arrays["test_index"])
    for name, array in arrays.items():
        expected = test if name.startswith("test") else train
        if len(array) != expected:
            raise InputError(f"{source}: {name}: expected {expected} values, received {len(array)}")
    block = feature(features, "test_correct_in", bytes, source)
    if len(block) != 4 * train * test:
        raise InputError(
            f"{source}: test_correct_in: expected {4 * train * test} bytes for {train} x {test} "
            f"counts, received {len(block)}"
        )
    label = feature(features, "label", int, source)
    return ClassCounts(
        label=label,
        train=TrainCounts(
            num_trials=feature(features, "num_trials", int, source),
            index=arrays["train_index"],
            label=np.full(train, label, np.int64),
            num_in=arrays["num_in"],
            correct=arrays["train_correct"],
            correct_in=arrays["train_correct_in"],
        ),
        test_index=arrays["test_index"],
        test_correct=arrays["test_correct"],
        test_correct_in=np.frombuffer(block, "<i4").reshape(train, test),
    )


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
