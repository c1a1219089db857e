"""Reads the trials of a run in this process, one record in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apache_beam.io.filesystems import FileSystems

from tfmem.aggregation.reading import Identity, check_identities, find_files, identify, load_labels
from tfmem.errors import InputError
from tfmem.predictions import Labels, TrialRecord
from tfmem.records import read_records


def each_trial(predictions: str | Sequence[str], labels: str) -> Iterator[TrialRecord]:
    """All trials that did not diverge, each once, in the order of the files.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used;
        that records do not belong together is known, and raised, after the last of them.
    """
    known = load_labels(labels)
    identities: list[Identity] = []
    seen: set[int] = set()
    for path in find_files(predictions, "prediction shards"):
        for record, source in _read(path, known, labels):
            if record.diverged:
                continue
            identities.append(identify((record, source)))
            if record.trial_id not in seen:
                seen.add(record.trial_id)
                yield record
    check_identities(identities)


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
