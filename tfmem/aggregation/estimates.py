"""The records of estimates: what is in them, how they are spread over files, how they are read.

Files depend on the data set alone, never on runner, sharding or order: memorization is spread by
index, influence by class, pairs are one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tfmem.errors import InputError
from tfmem.estimation.estimator import ClassCounts, influence_values, memorization
from tfmem.pairs import Pairs
from tfmem.records import decode_example, encode_example, feature

KINDS = ("predictions", "memorization", "influence", "pairs")  # folders of a run
_BLOCK_NAMES = ("train_index", "test_index", "num_in", "train_correct", "train_correct_in",
                "test_correct")  # fmt: skip
_PAIR_NAMES = ("train_index", "test_index", "label", "memorization", "influence", "stderr")


def file_name(kind: str, shard: int, shards: int) -> str:
    """`KIND-SSSSS-of-NNNNN.tfrecord`."""
    return f"{kind}-{shard:05d}-of-{shards:05d}.tfrecord"


def memorization_examples(counts: ClassCounts) -> list[tuple[int, bytes]]:
    """One record for each training example of a class, with the example's index."""
    return list(_memorization_examples(counts))


def _memorization_examples(counts: ClassCounts) -> Iterator[tuple[int, bytes]]:
    estimate = memorization(counts)
    num_out = counts.num_trials - counts.num_in
    correct_out = counts.train_correct - counts.train_correct_in
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy_in = counts.train_correct_in / counts.num_in
        accuracy_out = correct_out / num_out
    for row, index in enumerate(counts.train_index.tolist()):
        yield (
            index,
            encode_example(
                {
                    "index": index,
                    "label": counts.label,
                    "n_in": counts.num_in[row],
                    "n_out": num_out[row],
                    "memorization": estimate.value[row],
                    "stderr": estimate.stderr[row],
                    "ci_low": estimate.low[row],
                    "ci_high": estimate.high[row],
                    "accuracy_in": accuracy_in[row],
                    "accuracy_out": accuracy_out[row],
                }
            ),
        )


def influence_examples(counts: ClassCounts) -> list[tuple[int, bytes]]:
    """The record of a class, with its label: its influence block and the counts behind it."""
    payload = encode_example(
        {
            "label": counts.label,
            "axes": b"train,test",
            "influence": influence_values(counts).astype("<f4").tobytes(),
            "num_trials": counts.num_trials,
            "test_correct_in": counts.test_correct_in.astype("<i4").tobytes(),
            **{name: getattr(counts, name) for name in _BLOCK_NAMES},
        }
    )
    return [(counts.label, payload)]


def parse_influence(payload: bytes, source: str) -> tuple[ClassCounts, np.ndarray]:
    """The inverse of `influence_examples`: counts, and influence float32 `[train, test]`."""
    features = decode_example(payload, source)
    arrays = {name: _array(features, name, source) for name in _BLOCK_NAMES}
    shape = (len(arrays["train_index"]), len(arrays["test_index"]))
    blocks = []
    for name, kind in (("test_correct_in", "<i4"), ("influence", "<f4")):
        block = feature(features, name, bytes, source)
        if len(block) != 4 * shape[0] * shape[1]:
            raise InputError(
                f"{source}: {name}: expected {4 * shape[0] * shape[1]} bytes for {list(shape)} "
                f"values, received {len(block)}"
            )
        blocks.append(np.frombuffer(block, kind).reshape(shape))
    counts = ClassCounts(
        label=feature(features, "label", int, source),
        num_trials=feature(features, "num_trials", int, source),
        test_correct_in=blocks[0],
        **arrays,
    )
    return counts, blocks[1]


def _array(features: dict[str, Any], name: str, source: str) -> np.ndarray:
    """A list of integers; an empty one has no kind on the wire."""
    return feature({name: np.zeros(0, np.int64), **features}, name, np.ndarray, source)


def pair_examples(pairs: Pairs) -> list[tuple[int, bytes]]:
    """One record a pair, with its rank."""
    return [
        (row, encode_example({name: getattr(pairs, name)[row] for name in _PAIR_NAMES}))
        for row in range(len(pairs.train_index))
    ]
