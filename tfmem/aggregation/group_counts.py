"""Counts for groups of examples from prediction shards, one record in memory at a time."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.aggregation.identities import Identity, check_identities, identify, planned_trials
from tfmem.aggregation.reading import find_files, load_labels, read_trials
from tfmem.estimation.group_effects import GroupTally
from tfmem.groups import Groups
from tfmem.subsets import unpack


def tally_groups(predictions: str | Sequence[str], labels: str, groups: Groups) -> GroupTally:
    """Counts all trials that did not diverge, each once.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.
      groups: training examples of each group.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used.
    """
    known = load_labels(labels)
    tally = GroupTally(groups, len(known.test_labels))
    identities: list[Identity] = []
    seen: set[int] = set()
    shards = find_files(predictions, "prediction shards")
    for path in shards:
        for record, source in read_trials(path, known, labels):
            identities.append(identify(record, source))
            if not record.diverged and record.trial_id not in seen:
                seen.add(record.trial_id)
                tally.add(
                    unpack(record.subset_mask, record.num_train),
                    unpack(record.train_correct, record.num_train),
                    unpack(record.test_correct, record.num_test),
                )
    check_identities(identities, planned_trials(labels, shards))
    return tally
