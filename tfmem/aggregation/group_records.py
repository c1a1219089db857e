"""The records of groups: their estimates, and the counts behind them or the scores' errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfmem.aggregation.group_counts import tally_groups
from tfmem.aggregation.held_scores import HeldScores, hold_scores
from tfmem.aggregation.identities import made_from
from tfmem.aggregation.reading import load_labels, matching_files
from tfmem.aggregation.repeats import models_of
from tfmem.aggregation.values import measure_of
from tfmem.estimation.differences import Difference
from tfmem.estimation.group_effects import (
    GroupCounts,
    GroupTally,
    group_influence,
    group_memorization,
    member_memorization,
)
from tfmem.estimation.group_scores import GroupEstimates, GroupScores, estimates_of_counts
from tfmem.messages.errors import InputError
from tfmem.store.bits import unpack
from tfmem.store.groups import Groups
from tfmem.store.records import decode_example, encode_example, feature
from tfmem.subsets.groups import groups_digest

_NUMBERS = ("num_trials", "num_in", "num_out", "squares_in", "squares_out")
_MEMBERS = ("members", "member_correct_in", "member_correct_out", "member_in", "member_correct",
            "member_alone_in")  # fmt: skip
_TESTS = ("test_correct_in", "test_correct_out")


class GroupSource(NamedTuple):
    """Where the estimates of groups come from.

    Attributes:
      estimates: of each group, with its record.
      fraction: mean share of the training examples in the trials' subsets.
      made: what they are made from (see `tfmem.store.manifests.Manifest`).
      models: number of models that were trained on each subset, which count as one trial.
    """

    estimates: Iterable[tuple[GroupEstimates, bytes]]
    fraction: float
    made: Mapping[str, Any]
    models: int = 1


def read_groups_of(predictions: str | Sequence[str], labels: str, groups: Groups) -> GroupSource:
    """Estimates groups by the records' score, or by correctness if they have none.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      groups: training examples of each group.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    measure = measure_of(matching_files(predictions, "prediction shards"), None)
    measure = measure._replace(models=models_of(predictions, labels))
    if measure.counted:
        tally, made = tally_groups(predictions, labels, groups)
        return GroupSource(_by_counts(tally), tally.fraction, made)
    held, known = hold_scores(predictions, labels, measure), load_labels(labels)
    made = made_from(known, measure) | held.checked.facts | {"groups": groups_digest(groups)}
    size = len(known.train_labels)
    fraction = float(np.bitwise_count(held.masks).sum() / (len(held) * size))
    return GroupSource(_by_scores(held, size, groups), fraction, made, measure.models)


def _by_counts(tally: GroupTally) -> Iterator[tuple[GroupEstimates, bytes]]:
    for counts in tally.counts():
        yield estimates_of_counts(counts), group_example(counts)


def _by_scores(
    held: HeldScores, size: int, groups: Groups
) -> Iterator[tuple[GroupEstimates, bytes]]:
    masks = np.stack([unpack(row.tobytes(), size) for row in held.masks])
    scores = GroupScores(masks, held.train, held.test, held.scales, held.measure)
    for name, members in groups.items():
        found = scores.estimates(name, members)
        yield found, score_example(found, held)


def score_example(found: GroupEstimates, held: HeldScores) -> bytes:
    """Makes the record of a group whose estimates are by scores."""
    return encode_example(
        {
            "group": found.name.encode(),
            held.measure.statistic: 1,
            "score_name": held.measure.score.encode(),
            **columns("memorization", found.memorization),
            "member_memorization": found.of_members.value,
            "influence": found.influence.value.astype("<f4").tobytes(),
            "influence_stderr": found.influence.stderr.astype("<f4").tobytes(),
            "num_trials": found.num_trials,
            "num_in": found.num_in,
            "num_out": found.num_out,
            "members": found.members,
        }
    )


def group_example(counts: GroupCounts) -> bytes:
    """Makes the record of a group: its estimates, and the counts from which they were made."""
    memorization, influence = group_memorization(counts), group_influence(counts)
    return encode_example(
        {
            "group": counts.name.encode(),
            **columns("memorization", memorization),
            "member_memorization": member_memorization(counts).value,
            "influence": influence.value.astype("<f4").tobytes(),
            **{name: getattr(counts, name) for name in (*_NUMBERS, *_MEMBERS)},
            **{name: getattr(counts, name).astype("<i4").tobytes() for name in _TESTS},
        }
    )


def parse_group(payload: bytes, source: str) -> GroupCounts:
    """Reads the counts from a record that `group_example` made.

    Raises:
      InputError: naming `source`, if a part is missing or has a wrong length.
    """
    features = decode_example(payload, source)
    arrays: dict[str, Any] = {
        name: feature(features, name, np.ndarray, source) for name in _MEMBERS
    }
    size = len(arrays["members"])
    for name, array in arrays.items():
        if len(array) != size:
            raise InputError(f"{source}: {name}: expected {size} values, received {len(array)}")
    tests: dict[str, bytes] = {name: feature(features, name, bytes, source) for name in _TESTS}
    sizes = {len(block) for block in tests.values()}
    if len(sizes) > 1 or sizes.pop() % 4:
        raise InputError(
            f"{source}: {' and '.join(_TESTS)}: expected int32 for the same test examples, "
            f"received {' and '.join(str(len(block)) for block in tests.values())} bytes"
        )
    arrays.update({name: np.frombuffer(block, "<i4") for name, block in tests.items()})
    arrays.update({name: feature(features, name, int, source) for name in _NUMBERS})
    name = feature(features, "group", bytes, source).decode(errors="replace")
    return GroupCounts(name=name, **arrays)


def columns(name: str, estimate: Difference) -> dict[str, Any]:
    """The columns of an estimate: its value as `name`, its error and its interval."""
    return {
        name: estimate.value,
        "stderr": estimate.stderr,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
    }
