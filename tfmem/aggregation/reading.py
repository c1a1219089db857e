"""Finds and reads prediction shards, and checks each record against the labels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput

from tfmem.aggregation.globs import matching
from tfmem.aggregation.identities import STILL_TRAINING, Identity, identify
from tfmem.messages.errors import InputError
from tfmem.store.labels import Labels
from tfmem.store.manifests import MANIFEST_NAME
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import read_records
from tfmem.store.sets import check_complete


def load_labels(path: str) -> Labels:
    """Reads a `labels.npz` from any Beam filesystem.

    Raises:
      InputError: if there is no such file, or it cannot be read.
    """
    try:
        with FileSystems.open(path) as file:
            contents = file.read()
    except (OSError, ValueError, BeamIOError) as error:
        raise InputError(f"{path}: labels cannot be read: {error}") from None
    return Labels.from_npz(contents, path)


def read_trials(path: str, labels: Labels, labels_path: str) -> Iterator[tuple[TrialRecord, str]]:
    """Yields the records of a shard on any Beam filesystem, each with its file and number.

    Raises:
      InputError: naming file and record, if a record is damaged or does not fit the labels.
    """
    expected = (len(labels.train_labels), len(labels.test_labels))
    fingerprint = labels.dataset_fingerprint
    with FileSystems.open(path) as opened:
        for payload, source in read_records(opened, path):
            record = TrialRecord.from_example(payload, source)
            if (record.num_train, record.num_test) != expected:
                raise InputError(
                    f"{source}: expected predictions for {expected[0]} training and {expected[1]} "
                    f"test examples as in {labels_path}, received {record.num_train} and "
                    f"{record.num_test}"
                )
            if fingerprint and record.dataset_fingerprint != fingerprint:
                raise InputError(
                    f"{source}: record of another data set: expected fingerprint "
                    f"{fingerprint.hex()[:16]} as in {labels_path}, received "
                    f"{record.dataset_fingerprint.hex()[:16]}"
                )
            yield record, source


class _ReadShard(beam.DoFn):
    """Yields the records of a shard except those of diverged trials, and the identities of all."""

    def __init__(self, labels_path: str, identified: bool) -> None:
        self._labels_path = labels_path
        self._identified = identified
        self._read = Metrics.counter("tfmem", "records_read")
        self._diverged = Metrics.counter("tfmem", "records_diverged")

    def setup(self) -> None:
        self._labels = load_labels(self._labels_path)

    def process(
        self, path: str, after: Iterable[None] = ()
    ) -> Iterator[tuple[TrialRecord, str] | TaggedOutput[Literal["identities"], Identity]]:
        for record, source in read_trials(path, self._labels, self._labels_path):
            if self._identified:  # by the first of several readings of all trials, which counts
                self._read.inc()
                self._diverged.inc(int(bool(record.diverged)))
                yield TaggedOutput("identities", identify(record, source))
            if not record.diverged:
                yield record, source


@beam.ptransform_fn
def ReadTrials(
    pipeline: beam.Pipeline,
    shards: Sequence[str],
    labels_path: str,
    after: Sequence[beam.pvalue.AsIter] = (),
) -> tuple[beam.PCollection[tuple[TrialRecord, str]], beam.PCollection[Identity]]:
    """Reads shards into records, each with its file and number.

    Args:
      pipeline: receives the steps.
      shards: paths of the shards.
      labels_path: the `labels.npz` against which records are checked.
      after: collections that must be complete before the shards are read again; then identities are
        not read, because they are known from the first time.

    Returns:
      The records of trials that did not diverge, and the identities of all records.
    """
    reader = _ReadShard(labels_path, identified=not after)
    read = (
        pipeline
        | "Shards" >> beam.Create(shards, reshuffle=False)
        | "SpreadShards" >> beam.Reshuffle()
        | "ReadShards" >> beam.ParDo(reader, *after).with_outputs("identities", main="records")
    )
    return read.records, read.identities


def matching_files(where: str | Sequence[str], what: str) -> list[str]:
    """Lists the files that a glob matches, or that are named, in ascending order.

    Args:
      where: a glob on any Beam filesystem, or paths, in which no character is special.
      what: what the files are, for the message.

    Raises:
      InputError: if there is no file, if a file is a folder, or if one of the files
        `-SSSSS-of-NNNNN` is missing.
    """
    if isinstance(where, str):
        try:
            paths = [match.path for match in matching(where)]
            found = [path for path in paths if FileSystems.split(path)[1] != MANIFEST_NAME]
        except (OSError, ValueError, BeamIOError) as error:
            raise InputError(f"{where}: {what} cannot be listed: {error}") from None
    else:
        found = list(where)
    if not found:
        raise InputError(f"{where}: no such {what}")
    for path in found:
        if os.path.isdir(path):
            raise InputError(f"{path}: expected files of {what}, received a folder")
    again = f"{STILL_TRAINING}, else run `tfmem train` again"
    check_complete(found, again if what == "prediction shards" else "make them again")
    return sorted(found)
