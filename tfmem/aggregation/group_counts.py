"""Counts trials for groups of examples, with one record in memory at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from tfmem.aggregation.identities import made_from
from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.reading import load_labels
from tfmem.estimation.estimator import CORRECTNESS
from tfmem.estimation.group_effects import GroupTally
from tfmem.store.bits import unpack
from tfmem.store.groups import Groups
from tfmem.store.predictions import TrialRecord
from tfmem.subsets.groups import groups_digest


def tally_groups(
    predictions: str | Sequence[str], labels: str, groups: Groups
) -> tuple[GroupTally, dict[str, Any]]:
    """Counts, for each group, each trial that did not diverge once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      groups: training examples of each group.

    Returns:
      The counts, and what they are made from (see `tfmem.store.manifests.Manifest`).

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    known = load_labels(labels)
    tally = GroupTally(groups, len(known.test_labels))
    made = made_from(known, CORRECTNESS) | {"groups": groups_digest(groups)}

    def counted() -> Generator[tuple[TrialRecord, str], None, None]:
        checked = yield from each_trial(predictions, labels)
        made.update(checked.facts)

    for record, source in counted():
        mask = unpack(record.subset_mask, record.num_train)
        correct = (record.correctness(split, source) for split in ("train", "test"))
        tally.add(mask, *correct)
    return tally, made
