"""Estimates memorization and influence of groups, and how many trials groups need."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfmem.aggregation.group_counts import tally_groups
from tfmem.aggregation.reading import load_labels
from tfmem.estimation.differences import Difference
from tfmem.estimation.group_effects import (
    GroupCounts,
    example_memorization,
    group_influence,
    group_memorization,
    log_group_p_values,
    member_memorization,
)
from tfmem.estimation.significance import SmallPValues
from tfmem.messages.errors import InputError
from tfmem.store.groups import Groups
from tfmem.store.records import decode_example, encode_example, feature, shard_name
from tfmem.store.spreadsheets import to_csv
from tfmem.store.writing import write_set

LEAST_TRIALS = 10  # trials in, and trials out; with fewer, a standard error may exceed 0.22
_NUMBERS = ("num_trials", "num_in", "num_out", "squares_in", "squares_out")
_MEMBERS = ("members", "member_correct_in", "member_correct_out", "member_in", "member_correct",
            "member_alone_in")  # fmt: skip
_TESTS = ("test_correct_in", "test_correct_out")


@dataclass(frozen=True)
class GroupTables:
    """Estimates for groups as tables, each of which is a file of the same name.

    Attributes:
      groups: one row for each group: `group`, `size`, `n_in`, `n_out`, `memorization`, `stderr`,
        `ci_low`, `ci_high`, `accuracy_in`, `accuracy_out`; `example_memorization`, the mean
        memorization of its members as single examples; `trials_needed`, the number of trials with
        which `n_in` and `n_out` can be expected to reach the least number, or 0 if they reach it.
      group_members: one row for each member: `group`, `index`, `label`, and the columns of `groups`
        from `memorization` to `example_memorization`.
      group_influence: one row for each of the test examples that a group influences most: `group`,
        `test_index`, `label`, `influence`, `stderr`, `ci_low`, `ci_high`, `p_value`, its decimal
        logarithm `log10_p_value`, and `q_value`, the false discovery rate among all pairs of a
        group and a test example.
    """

    groups: pd.DataFrame
    group_members: pd.DataFrame
    group_influence: pd.DataFrame


def estimate_groups(
    predictions: str | Sequence[str],
    labels: str,
    groups: Groups,
    folder: Path,
    top: int = 20,
    least: int = LEAST_TRIALS,
    parquet: bool = False,
) -> GroupTables:
    """Estimates memorization and influence of groups, and writes records and tables.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      groups: training examples of each group.
      folder: receives the tables and `groups-00000-of-00001.tfrecord`, which has a record for each
        group with its influence on all test examples and all counts.
      top: number of test examples of each group in the table of influence.
      least: least number of trials with the whole group, and without it, that a group needs.
      parquet: whether the tables are Parquet instead of CSV.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    known = load_labels(labels)
    tally, made = tally_groups(predictions, labels, groups)
    rows: list[dict[str, Any]] = []
    members: list[pd.DataFrame] = []
    influence: list[pd.DataFrame] = []
    p_values = SmallPValues(len(groups) * len(known.test_labels))

    def records() -> Iterator[bytes]:
        for counts in tally.counts():
            needed = trials_for_group(counts, len(known.train_labels), tally.fraction, least)
            rows.append({**_group_row(counts), "trials_needed": needed})
            members.append(_member_rows(counts, known.train_labels))
            log_p = log_group_p_values(counts)
            p_values.add(np.exp(log_p))
            influence.append(_influence_rows(counts, log_p, known.test_labels, top))
            yield group_example(counts)

    def tables() -> GroupTables:
        shown = pd.concat(influence)
        shown["q_value"] = p_values.q_values(shown["p_value"].to_numpy())
        return GroupTables(pd.DataFrame(rows), pd.concat(members), shown)

    def files() -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        yield shard_name("groups", 0, 1), records()
        for name, table in vars(tables()).items():
            yield f"{name}{suffix}", _table(table, parquet)

    suffix, other = (".parquet", ".csv") if parquet else (".csv", ".parquet")
    write_set(folder, made, files())
    found = tables()
    for name in vars(found):
        (folder / name).with_suffix(other).unlink(missing_ok=True)
    return found


def trials_for_group(counts: GroupCounts, num_train: int, fraction: float, least: int) -> float:
    """Computes with how many trials a group can be expected to be in, and out, often enough.

    Subsets are assumed to be uniform, unless none of them splits the group.

    Args:
      counts: the counts of the group.
      num_train: number of training examples.
      fraction: subset fraction.
      least: number of trials with the whole group, and without it, that is enough.

    Returns:
      0 if there are enough trials, infinity if no number is enough, otherwise more than there are.
    """
    if min(counts.num_in, counts.num_out) >= least:
        return 0.0
    size = len(counts.members)
    if counts.num_in + counts.num_out == counts.num_trials:
        size = 1
    places = round(fraction * num_train)
    chances = [
        math.prod((share - taken) / (num_train - taken) for taken in range(size))
        if share >= size
        else 0.0
        for share in (places, num_train - places)
    ]
    if min(chances) == 0:
        return math.inf
    return float(max(math.ceil(least / min(chances)), counts.num_trials + 1))


def group_example(counts: GroupCounts) -> bytes:
    """Makes the record of a group: its estimates, and the counts from which they were made."""
    memorization, influence = group_memorization(counts), group_influence(counts)
    return encode_example(
        {
            "group": counts.name.encode(),
            **_columns("memorization", memorization),
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


def _columns(name: str, estimate: Difference) -> dict[str, Any]:
    return {
        name: estimate.value,
        "stderr": estimate.stderr,
        "ci_low": estimate.low,
        "ci_high": estimate.high,
    }


def _group_row(counts: GroupCounts) -> dict[str, Any]:
    size = len(counts.members)
    alone = example_memorization(counts).value
    estimate = _columns("memorization", group_memorization(counts))
    return {
        "group": counts.name,
        "size": size,
        "n_in": counts.num_in,
        "n_out": counts.num_out,
        **{name: float(value) for name, value in estimate.items()},
        "accuracy_in": _share(counts.member_correct_in.sum(), size * counts.num_in),
        "accuracy_out": _share(counts.member_correct_out.sum(), size * counts.num_out),
        "example_memorization": alone.mean(),
    }


def _member_rows(counts: GroupCounts, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": counts.name,
            "index": counts.members,
            "label": labels[counts.members],
            **_columns("memorization", member_memorization(counts)),
            "accuracy_in": _share(counts.member_correct_in, counts.num_in),
            "accuracy_out": _share(counts.member_correct_out, counts.num_out),
            "example_memorization": example_memorization(counts).value,
        }
    )


def _influence_rows(
    counts: GroupCounts, log_p: np.ndarray, labels: np.ndarray, top: int
) -> pd.DataFrame:
    estimate = group_influence(counts)
    best = np.argsort(-estimate.value, kind="stable")[: top if len(log_p) else 0]
    columns = {
        **_columns("influence", estimate),
        "p_value": np.exp(log_p),
        "log10_p_value": log_p / np.log(10),
    }
    return pd.DataFrame(
        {
            "group": counts.name,
            "test_index": best,
            "label": labels[best],
            **{name: values[best] for name, values in columns.items()},
        }
    )


def _share(correct: Any, number: int) -> Any:
    return correct / number if number else np.nan


def _table(table: pd.DataFrame, parquet: bool) -> bytes:
    """Returns the contents of a file with the table."""
    if not parquet:
        return to_csv(table, "%.6g")
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()
