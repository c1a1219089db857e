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

from tfmem.aggregation.group_records import columns, read_groups_of
from tfmem.aggregation.reading import load_labels
from tfmem.config.estimates import BOUNDED
from tfmem.estimation.group_effects import GroupCounts
from tfmem.estimation.group_scores import GroupEstimates
from tfmem.estimation.significance import SmallPValues
from tfmem.store.groups import Groups
from tfmem.store.records import shard_name
from tfmem.store.results import named_by_score
from tfmem.store.spreadsheets import to_csv
from tfmem.store.writing import write_set

LEAST_TRIALS = 10  # trials in, and trials out; with fewer, a standard error may exceed 0.22


@dataclass(frozen=True)
class GroupTables:
    """Estimates for groups as tables, each of which is a file of the same name.

    Attributes:
      groups: one row for each group: `group`, `size`, `n_in`, `n_out`, `memorization`, `stderr`,
        `ci_low`, `ci_high`, `accuracy_in`, `accuracy_out` (of a score `score_in` and `score_out`,
        which are means over the members, too); `example_memorization`, the mean
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
    source = read_groups_of(predictions, labels, groups)
    rows: list[dict[str, Any]] = []
    members: list[pd.DataFrame] = []
    influence: list[pd.DataFrame] = []
    p_values = SmallPValues(len(groups) * len(known.test_labels))

    def records() -> Iterator[bytes]:
        for found, payload in source.estimates:
            needed = trials_for_group(found, len(known.train_labels), source.fraction, least)
            rows.append({**_group_row(found), "trials_needed": source.models * needed})
            members.append(_member_rows(found, known.train_labels))
            p_values.add(np.exp(found.log_p))
            influence.append(_influence_rows(found, known.test_labels, top))
            yield payload

    def tables() -> GroupTables:
        shown = pd.concat(influence)
        shown["q_value"] = p_values.q_values(shown["p_value"].to_numpy())
        of_groups, of_members = pd.DataFrame(rows), pd.concat(members)
        if source.made["statistic"] not in BOUNDED:
            of_groups, of_members = named_by_score(of_groups), named_by_score(of_members)
        return GroupTables(of_groups, of_members, shown)

    def files() -> Iterator[tuple[str, bytes | Iterator[bytes]]]:
        yield shard_name("groups", 0, 1), records()
        for name, table in vars(tables()).items():
            yield f"{name}{suffix}", _table(table, parquet)

    suffix, other = (".parquet", ".csv") if parquet else (".csv", ".parquet")
    write_set(folder, source.made, files())
    found = tables()
    for name in vars(found):
        (folder / name).with_suffix(other).unlink(missing_ok=True)
    return found


def trials_for_group(
    counts: GroupCounts | GroupEstimates, num_train: int, fraction: float, least: int
) -> float:
    """Computes with how many trials a group can be expected to be in, and out, often enough.

    Subsets are assumed to be uniform, unless none of them splits the group.

    Args:
      counts: the counts or estimates of the group.
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


def _group_row(found: GroupEstimates) -> dict[str, Any]:
    estimate = columns("memorization", found.memorization)
    return {
        "group": found.name,
        "size": len(found.members),
        "n_in": found.num_in,
        "n_out": found.num_out,
        **{name: float(value) for name, value in estimate.items()},
        "accuracy_in": found.means[0],
        "accuracy_out": found.means[1],
        "example_memorization": found.alone.mean(),
    }


def _member_rows(found: GroupEstimates, labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "group": found.name,
            "index": found.members,
            "label": labels[found.members],
            **columns("memorization", found.of_members),
            "accuracy_in": found.member_means[0],
            "accuracy_out": found.member_means[1],
            "example_memorization": found.alone,
        }
    )


def _influence_rows(found: GroupEstimates, labels: np.ndarray, top: int) -> pd.DataFrame:
    estimate, log_p = found.influence, found.log_p
    best = np.argsort(-estimate.value, kind="stable")[: top if len(log_p) else 0]
    shown = {
        **columns("influence", estimate),
        "p_value": np.exp(log_p),
        "log10_p_value": log_p / np.log(10),
    }
    return pd.DataFrame(
        {
            "group": found.name,
            "test_index": best,
            "label": labels[best],
            **{name: values[best] for name, values in shown.items()},
        }
    )


def _table(table: pd.DataFrame, parquet: bool) -> bytes:
    """Returns the contents of a file with the table."""
    if not parquet:
        return to_csv(table, "%.6g")
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()
