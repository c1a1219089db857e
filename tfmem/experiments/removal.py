"""What is lost without memorized examples (Feldman & Zhang 2020, Sec. 3.2, Fig. 2)?

Models are trained on what is left after removing the most memorized examples, and after removing as
many at random.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.estimation.thresholds import at_least
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.training import draw, most_memorized, train_on

QUESTION = "What is lost without memorized examples?"


def removal(config: Config, dataset: AnyDataset, memorization: np.ndarray, out: Path) -> Outcome:
    """Test accuracy without memorized examples, and without as many random ones.

    Args:
      config: model, recipe, seed, and `experiments.removal`.
      dataset: the examples.
      memorization: float `[num_train]`; examples with NaN are only removed at random.
      out: folder for the models' predictions; a call that was stopped is continued.

    Returns:
      A row for each threshold (or share) and each way of removing, `memorized` or `random`, and one
      for the whole set: how many are `removed`, the `remaining` share, mean and standard deviation
      of test accuracy over repeats, and its standard error; `least_memorization` is the lowest
      of those that are removed by it.

    Raises:
      InputError: if fewer have an estimate than are to be removed, or a model diverges.
    """
    settings = config.experiments.removal
    count = len(memorization)
    if settings.shares:
        levels = {share: round(share * count) for share in sorted(settings.shares)}
    else:
        levels = {
            threshold: int(at_least(memorization, threshold).sum())
            for threshold in sorted(settings.thresholds)
        }
    ranked = most_memorized(memorization, max(levels.values()), "experiments.removal.shares")
    conditions: list[tuple[float, str, int]] = [(np.nan, "none", 0)]
    for level, removed in levels.items():
        if 0 < removed < count:
            conditions += [(level, "memorized", removed), (level, "random", removed)]
    masks = [
        _without(count, ranked if how == "memorized" else draw(config, count, number, repeat), gone)
        for number, (_, how, gone) in enumerate(conditions)
        for repeat in range(settings.repeats)
    ]
    trained = train_on(config, dataset, masks, out)
    accuracy = trained.test_accuracy.reshape(len(conditions), settings.repeats)
    deviation = accuracy.std(axis=1, ddof=1)
    table = pd.DataFrame(
        {
            "share" if settings.shares else "threshold": [level for level, _, _ in conditions],
            "removal": [how for _, how, _ in conditions],
            "removed": [gone for _, _, gone in conditions],
            "remaining": [1 - gone / count for _, _, gone in conditions],
            "least_memorization": [
                memorization[ranked[gone - 1]] if how == "memorized" else np.nan
                for _, how, gone in conditions
            ],
            "repeats": settings.repeats,
            "accuracy": accuracy.mean(axis=1),
            "accuracy_sd": deviation,
            "accuracy_stderr": deviation / np.sqrt(settings.repeats),
        }
    )
    return Outcome(QUESTION, _findings(table), table)


def _without(count: int, order: np.ndarray, removed: int) -> np.ndarray:
    mask = np.ones(count, bool)
    mask[order[:removed]] = False
    return mask


def _findings(table: pd.DataFrame) -> tuple[str, ...]:
    level = table.columns[0]
    whole = table.iloc[0]
    said = [
        f"{whole['repeats']} models trained on everything: test accuracy "
        f"{whole['accuracy']:.2%} ± {whole['accuracy_sd']:.2%} (SD)."
    ]
    pairs = table.iloc[1:].set_index([level, "removal"])
    for value in pairs.index.unique(level):
        memorized, random = pairs.loc[(value, "memorized")], pairs.loc[(value, "random")]
        cost = random["accuracy"] - memorized["accuracy"]
        error = np.hypot(memorized["accuracy_stderr"], random["accuracy_stderr"])
        spread = np.hypot(memorized["accuracy_sd"], random["accuracy_sd"]) / np.sqrt(2)
        in_sds = f", {cost / spread:.1f} SD of a model" if spread > 0 else ""
        what = "the top" if level == "share" else "memorization ≥"
        shown = f"{100 * value:g}%" if level == "share" else f"{value:g}"
        said.append(
            f"Without {what} {shown} ({int(memorized['removed']):,} examples): "
            f"{memorized['accuracy']:.2%}, without as many random ones {random['accuracy']:.2%}: "
            f"{100 * cost:.2f} ± {100 * error:.2f} points more lost (SE{in_sds})."
        )
    return tuple(said)
