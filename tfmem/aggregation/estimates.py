"""The records of estimates: what is in them, how they are spread over files, how they are read.

Files depend on the data set alone, never on runner, sharding or order: memorization is spread by
index, influence by class, pairs are one file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts, influence, memorization
from tfmem.pairs import Pairs
from tfmem.records import decode_example, encode_example, feature

KINDS = ("predictions", "memorization", "influence", "pairs")  # folders of a run
_BLOCK_NAMES = ("train_index", "test_index", "num_in", "train_correct", "train_correct_in",
                "test_correct")  # fmt: skip


def memorization_examples(counts: ClassCounts) -> list[tuple[int, bytes]]:
    """One record for each training example of a class, with the example's index."""
    estimate = memorization(counts)
    num_out = counts.num_trials - counts.num_in
    correct_out = counts.train_correct - counts.train_correct_in
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = {
            "index": counts.train_index,
            "label": np.full(len(num_out), counts.label),
            "n_in": counts.num_in,
            "n_out": num_out,
            "memorization": estimate.value,
            "stderr": estimate.stderr,
            "ci_low": estimate.low,
            "ci_high": estimate.high,
            "accuracy_in": counts.train_correct_in / counts.num_in,
            "accuracy_out": correct_out / num_out,
        }
    return [(int(columns["index"][row]), payload) for row, payload in _rows(columns)]


def _rows(columns: Mapping[str, np.ndarray]) -> Iterator[tuple[int, bytes]]:
    """One record a row of columns of equal length, with the row's number."""
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        yield row, encode_example(dict(zip(columns, values, strict=True)))


def influence_examples(counts: ClassCounts) -> list[tuple[int, bytes]]:
    """The record of a class, with its label: its influence block and the counts behind it."""
    payload = encode_example(
        {
            "label": counts.label,
            "axes": b"train,test",
            "influence": influence(counts).value.astype("<f4").tobytes(),
            "num_trials": counts.num_trials,
            "test_correct_in": counts.test_correct_in.astype("<i4").tobytes(),
            **{name: getattr(counts, name) for name in _BLOCK_NAMES},
        }
    )
    return [(counts.label, payload)]


def parse_influence(payload: bytes, source: str) -> ClassCounts:
    """The counts in a record that `influence_examples` made.

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
    return ClassCounts(
        label=feature(features, "label", int, source),
        num_trials=feature(features, "num_trials", int, source),
        test_correct_in=np.frombuffer(block, "<i4").reshape(train, test),
        **arrays,
    )


def pair_examples(pairs: Pairs) -> list[tuple[int, bytes]]:
    """One record a pair, with its rank."""
    return list(_rows(vars(pairs)))
