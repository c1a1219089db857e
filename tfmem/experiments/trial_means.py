"""How well each trial of a run does: its accuracy, or its mean score."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.store.bits import unpack
from tfmem.store.sets import check_complete
from tfmem.store.shards import read_shard, shards_in


def trial_means(predictions: Path) -> pd.DataFrame:
    """One row for each trial, by `trial_id`: its accuracy on its subset, the rest, and test.

    Args:
      predictions: the folder of prediction shards.

    Returns:
      Columns are `subset_accuracy`, `held_out_accuracy` and `test_accuracy`, and `diverged`, which
      says whether estimates leave the trial out. Where records do not say which predictions are
      right, mean scores take the place of accuracies, as `subset_score` and so on, and the table's
      `attrs["score"]` is the name of the score.

    Raises:
      InputError: if shards are missing, or naming the record that cannot be read.
    """
    rows, score = [], ""
    shards = shards_in(predictions)
    check_complete(shards, "if the run is not in training any more, run `tfmem train` again")
    for path in shards:
        for record in read_shard(path):
            mask = unpack(record.subset_mask, record.num_train)
            correct, test = record.outcome("train"), record.outcome("test")
            if not record.has_correctness and not record.diverged:
                score = record.score_name
            means = (
                values.mean() if len(values) else np.nan
                for values in (correct[mask], correct[~mask], test)
            )
            rows.append((record.trial_id, *means, bool(record.diverged)))
    kind = "score" if score else "accuracy"
    of = (f"{part}_{kind}" for part in ("subset", "held_out", "test"))
    names = ["trial_id", *of, "diverged"]
    found = pd.DataFrame(rows, columns=names).set_index("trial_id").sort_index()
    found.attrs["score"] = score
    return found
