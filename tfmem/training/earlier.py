"""Marks trials anew that an earlier version of tfmem left out for their low accuracy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfmem.messages.terminal import say
from tfmem.store.journal import TrialNote
from tfmem.store.predictions import TrialRecord
from tfmem.training.shards import Shards


def mark_anew(shards: Shards, shard: int, notes: list[TrialNote]) -> list[TrialNote]:
    """Rewrites a shard in which trials with a finite loss are marked as diverged.

    Thus one rule holds for all trials of a run that is continued.

    Args:
      shards: the shards of a run that does not exclude models that learned nothing.
      shard: number of the shard.
      notes: notes of the shard's trials.

    Returns:
      The notes of the shard's trials, with their new marks.
    """
    if not any(note.diverged for note in notes):
        return notes
    name, losses = shards.name(shard), {note.trial: note.final_loss for note in notes}
    records = shards.read(shard, name)
    again = {
        record.trial_id
        for record in records
        if _is_left_out_by_accuracy(record, losses.get(record.trial_id, np.nan))
    }
    if not again:
        return notes
    say(
        f"{shards.folder.path(name)}: {len(again)} trials that an earlier version left out for "
        "their accuracy count from now on (see training.exclude_unlearned)"
    )
    marked = (replace(r, diverged=int(r.diverged and r.trial_id not in again)) for r in records)
    shards.folder.write(name, (record.to_example() for record in marked))
    return [replace(n, diverged=int(n.diverged and n.trial not in again)) for n in notes]


def _is_left_out_by_accuracy(record: TrialRecord, loss: float) -> bool:
    """Whether a record is marked as diverged although its loss was finite.

    The loss in the trial table shows that or, without it, the probabilities in the record of an
    earlier version, which are NaN after a loss that is not finite.
    """
    if not record.diverged:
        return False
    return bool(np.isfinite(loss)) or bool(record.had_finite_loss())
