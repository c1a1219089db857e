"""Counts for groups of examples from prediction shards, one record in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.aggregation.one_by_one import each_trial
from tfmem.aggregation.reading import load_labels
from tfmem.estimation.group_effects import GroupTally
from tfmem.store.bits import unpack
from tfmem.store.groups import Groups


def tally_groups(predictions: str | Sequence[str], labels: str, groups: Groups) -> GroupTally:
    """Counts all trials that did not diverge, each once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      groups: training examples of each group.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    tally = GroupTally(groups, len(load_labels(labels).test_labels))
    for record in each_trial(predictions, labels):
        tally.add(
            unpack(record.subset_mask, record.num_train),
            unpack(record.train_correct, record.num_train),
            unpack(record.test_correct, record.num_test),
        )
    return tally
