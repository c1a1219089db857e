"""Reads the trials of a run in this process, with one record in memory at a time."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from tfmem.aggregation.identities import (
    Checked,
    Identity,
    check_identities,
    identify,
    planned_trials,
)
from tfmem.aggregation.reading import load_labels, matching_files, read_trials
from tfmem.store.predictions import TrialRecord


def each_trial(
    predictions: str | Sequence[str], labels: str
) -> Generator[tuple[TrialRecord, str], None, Checked]:
    """Yields each trial that did not diverge once, with its file and number, in their order.

    Args:
      predictions: a glob of prediction shards, on any Beam filesystem, or their paths.
      labels: path of the `labels.npz` that belongs to them.

    Returns:
      What the records have in common, once all have been read (the value of `yield from`).

    Raises:
      InputError: if there is nothing to read, or naming the file and record that cannot be used. An
        error because records do not belong together is raised after the last record.
    """
    known = load_labels(labels)
    identities: list[Identity] = []
    seen: set[int] = set()
    shards = matching_files(predictions, "prediction shards")
    for path in shards:
        for record, source in read_trials(path, known, labels):
            identities.append(identify(record, source))
            if not record.diverged and record.trial_id not in seen:
                seen.add(record.trial_id)
                yield record, source
    return check_identities(identities, planned_trials(labels, shards))
