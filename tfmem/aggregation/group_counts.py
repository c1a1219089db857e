"""Counts for groups of examples from prediction shards, one record in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apache_beam.io.filesystems import FileSystems

from tfmem.aggregation.identities import Identity, check_identities, identify, planned_trials
from tfmem.aggregation.reading import find_files, load_labels
from tfmem.errors import InputError
from tfmem.estimation.group_effects import GroupTally
from tfmem.groups import Groups
from tfmem.predictions import Labels, TrialRecord
from tfmem.records import read_records
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
        for record, source in _read(path, known, labels):
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


def _read(path: str, labels: Labels, labels_path: str) -> Iterator[tuple[TrialRecord, str]]:
    """The records of a shard, each checked against the labels."""
    expected = (len(labels.train_labels), len(labels.test_labels))
    with FileSystems.open(path) as file:
        for payload, source in read_records(file, path):
            record = TrialRecord.from_example(payload, source)
            foreign = labels.dataset_fingerprint not in (b"", record.dataset_fingerprint)
            if foreign or (record.num_train, record.num_test) != expected:
                raise InputError(
                    f"{source}: record of another data set than {labels_path}: expected "
                    f"{expected[0]} training and {expected[1]} test examples and fingerprint "
                    f"{labels.dataset_fingerprint.hex()[:16] or 'any'}, received "
                    f"{record.num_train}, {record.num_test} and "
                    f"{record.dataset_fingerprint.hex()[:16]}"
                )
            yield record, source
