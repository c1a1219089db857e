"""Do memorized examples have influence, and does an influenced example owe it to one of them?

The correlation of memorization with influence is what a reviewer of Feldman & Zhang (2020) missed;
that most influenced test examples have a single influencer is in their Sec. 3.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from tfmem.estimation.thresholds import at_least
from tfmem.experiments.correlation import rank_correlation
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.run import Run

QUESTION = "Do memorized examples have influence, and on how many?"


def mem_infl(run: Run) -> Outcome:
    """Memorization against the largest influence and the number of influenced test examples.

    Args:
      run: its memorization, class-wise influence, selected pairs, and thresholds of selection.

    Returns:
      A row for each training and test example, by `split`, `index` and `label`: `memorization` (NaN
      of test examples); `largest_influence` that it has on a test example of its class, or that a
      training example has on it; `above`, with how many that is at least the threshold of
      selection; `pairs`, the number of selected pairs that it is in. The first two are NaN where
      there is no estimate.
    """
    selection = run.config.selection
    table = _table(run, selection.influence)
    train = table[table["split"] == "train"]
    memorization = train["memorization"].to_numpy()
    memorized = at_least(memorization, selection.memorization)
    largest = train["largest_influence"].to_numpy()
    above = np.where(np.isnan(largest), np.nan, train["above"])
    threshold = f"influence of at least {selection.influence:g}"
    said = [
        "Rank correlation of memorization with the largest influence: "
        f"{rank_correlation(memorization, largest)}; of those with memorization ≥ "
        f"{selection.memorization:g} only: "
        f"{rank_correlation(memorization[memorized], largest[memorized])}.",
        f"With the number of test examples on which there is an {threshold}: "
        f"{rank_correlation(memorization, above)}.",
        f"{_share(above[memorized] > 0)} memorized training examples have an {threshold} on some "
        f"test example, of the others {_share(above[~memorized & ~np.isnan(memorization)] > 0)}.",
        _influencers(run),
    ]
    return Outcome(QUESTION, tuple(said), table)


def _table(run: Run, threshold: float) -> pd.DataFrame:
    labels = {"train": run.labels.train_labels, "test": run.labels.test_labels}
    largest = {split: np.full(len(of), np.nan) for split, of in labels.items()}
    above = {split: np.zeros(len(of), np.int64) for split, of in labels.items()}
    for block in run.influence.values():
        influence = block.influence
        reached = at_least(influence, threshold)
        for axis, split, index in (1, "train", block.train_index), (0, "test", block.test_index):
            largest[split][index] = np.fmax.reduce(influence, axis=axis, initial=np.nan)
            above[split][index] = reached.sum(axis=axis)
    memorization = run.memorization["memorization"].to_numpy(float)
    parts = [
        pd.DataFrame(
            {
                "split": split,
                "index": np.arange(len(of)),
                "label": of,
                "memorization": memorization if split == "train" else np.nan,
                "largest_influence": largest[split],
                "above": above[split],
                "pairs": np.bincount(run.pairs[f"{split}_index"], minlength=len(of)),
            }
        )
        for split, of in labels.items()
    ]
    return pd.concat(parts, ignore_index=True)


def _share(chosen: np.ndarray) -> str:
    return f"{int(chosen.sum()):,} of {len(chosen):,}"


def _influencers(run: Run) -> str:
    found = run.pair_statistics
    counted = ", ".join(f"{count:,} have {number}" for number, count in found.influencers.items())
    chance = f"{run.selection['expected_by_chance']:,.2g} pairs are expected by chance"
    return (
        f"{found.pairs:,} selected pairs of {found.unique_train:,} training and "
        f"{found.unique_test:,} test examples ({chance})"
        + (f"; by number of influencers, {counted}." if counted else ".")
    )
