"""Reads prediction shards, and makes sure that what is counted belongs together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import apache_beam as beam
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics

from tfmem.errors import InputError
from tfmem.predictions import Labels, TrialRecord
from tfmem.records import read_records


class Identity(NamedTuple):
    """What must agree between records, and where a record stands."""

    trial_id: int
    content: bytes
    config_digest: bytes
    dataset_fingerprint: bytes
    source: str


def load_labels(path: str) -> Labels:
    """Reads a `labels.npz` from any Beam filesystem.

    Raises:
      InputError: if there is none at that path or it cannot be read.
    """
    try:
        with FileSystems.open(path) as file:
            contents = file.read()
    except OSError as error:
        raise InputError(f"{path}: labels cannot be read: {error}") from None
    return Labels.from_npz(contents, path)


class _ReadShard(beam.DoFn):
    """Yields the records of a shard, each checked against the labels."""

    def __init__(self, labels_path: str) -> None:
        self._labels_path = labels_path
        self._read = Metrics.counter("tfmem", "records_read")

    def setup(self) -> None:
        self._labels = load_labels(self._labels_path)

    def process(self, file: fileio.ReadableFile) -> Iterator[tuple[TrialRecord, str]]:
        path = file.metadata.path
        with FileSystems.open(path) as opened:
            for number, payload in enumerate(read_records(opened, path)):
                source = f"{path}: record {number}"
                record = TrialRecord.from_example(payload, source)
                self._check(record, source)
                self._read.inc()
                yield record, source

    def _check(self, record: TrialRecord, source: str) -> None:
        labels = self._labels
        expected = (len(labels.train_labels), len(labels.test_labels))
        if (record.num_train, record.num_test) != expected:
            raise InputError(
                f"{source}: expected predictions for {expected[0]} training and {expected[1]} test "
                f"examples as in {self._labels_path}, received {record.num_train} and "
                f"{record.num_test}"
            )
        fingerprint = labels.dataset_fingerprint
        if fingerprint and record.dataset_fingerprint != fingerprint:
            raise InputError(
                f"{source}: record of another data set: expected fingerprint "
                f"{fingerprint.hex()[:16]} as in {self._labels_path}, received "
                f"{record.dataset_fingerprint.hex()[:16]}"
            )


@beam.ptransform_fn
def ReadTrials(
    pipeline: beam.Pipeline, pattern: str, labels_path: str
) -> beam.PCollection[tuple[TrialRecord, str]]:
    """Reads all shards that match a glob, as records with the file and number they stand at."""
    return (
        pipeline
        | "MatchShards" >> fileio.MatchFiles(pattern)
        | "SpreadShards" >> beam.Reshuffle()
        | "OpenShards" >> fileio.ReadMatches()
        | "ReadShards" >> beam.ParDo(_ReadShard(labels_path))
    )


def identify(element: tuple[TrialRecord, str]) -> Identity:
    """The identity of a record."""
    record, source = element
    return Identity(
        record.trial_id,
        hashlib.sha256(record.to_example()).digest()[:16],
        record.config_digest,
        record.dataset_fingerprint,
        source,
    )


def check_identities(identities: Iterable[Identity]) -> int:
    """The number of different trials, if all records may be counted together.

    Raises:
      InputError: naming two records, if a trial is there twice with different content, or if
        records come from different settings or data; or if there are fewer than two trials.
    """
    by_trial: dict[int, Identity] = {}
    ordered = sorted(identities, key=lambda identity: identity.source)
    for identity in ordered:
        first = ordered[0]
        for name in ("config_digest", "dataset_fingerprint"):
            if getattr(identity, name) != getattr(first, name):
                raise InputError(
                    f"{identity.source}: {name} differs from that of {first.source}: records of "
                    "different runs cannot be counted together"
                )
        other = by_trial.setdefault(identity.trial_id, identity)
        if other.content != identity.content:
            raise InputError(
                f"{identity.source}: trial {identity.trial_id} is also in {other.source}, with "
                "different content"
            )
    if len(by_trial) < 2:
        raise InputError(f"expected at least 2 trials, received {len(by_trial)}")
    return len(by_trial)
