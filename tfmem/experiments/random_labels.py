"""What happens to memorization when labels are replaced at random (Feldman & Zhang 2020, Sec. 1)?

Labels of the most memorized examples, and of as many random ones, are replaced by other classes,
and trials are run on each of these data sets.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.datasets.noise import replace_labels
from tfmem.experiments.outcome import Outcome
from tfmem.experiments.summed import Summed, trials_on
from tfmem.experiments.training import draw, most_memorized, with_trials

QUESTION = "What happens to memorization when labels are replaced at random?"


def random_labels(
    config: Config,
    dataset: AnyDataset,
    memorization: np.ndarray,
    test_accuracy: np.ndarray,
    out: Path,
) -> Outcome:
    """Memorization and test accuracy before and after labels are replaced.

    Args:
      config: model, recipe, seed, and `experiments.random_labels`.
      dataset: the examples with the labels that they have in the run.
      memorization: float `[num_train]`, with these labels, by how often models are right.
      test_accuracy: float `[trials]`, likewise.
      out: folder for the trials; a call that was stopped is continued.

    Returns:
      A row for each training example and each way of choosing (`replaced`), `memorized` or
      `random`: its `label` then, whether that is `changed`, memorization `before` and `after`, how
      often models that were trained on it predict it (`accuracy_in`); and in every row the mean
      test accuracy before and after.
    """
    settings = config.experiments.random_labels
    count = len(memorization)
    number = min(max(1, round(settings.share * count)), count)
    ways = {
        "memorized": most_memorized(memorization, number, "experiments.random_labels.share"),
        "random": draw(config, count, 0),
    }
    config = with_trials(config, settings.trials)
    before = f"{test_accuracy.mean():.2%} ± {test_accuracy.std(ddof=1):.2%} (SD)"
    said = [
        f"With the labels as they are: test accuracy {before} in {len(test_accuracy):,} trials."
    ]
    tables = []
    for way, order in ways.items():
        chosen = order[:number]
        other = replace_labels(dataset, chosen, config.seed)
        trials = trials_on(config, other, out / way)
        changed = np.zeros(count, bool)
        changed[chosen] = True
        columns = {
            "replaced": way,
            "index": np.arange(count),
            "label": other.train_labels,
            "changed": changed,
            "before": memorization,
            "after": trials.memorization,
            "accuracy_in": trials.accuracy_in,
            "test_accuracy_before": test_accuracy.mean(),
            "test_accuracy_after": trials.test_accuracy.mean(),
        }
        tables.append(pd.DataFrame(columns))
        said.append(_finding(tables[-1], way, test_accuracy, trials))
    return Outcome(QUESTION, tuple(said), pd.concat(tables, ignore_index=True))


def _finding(table: pd.DataFrame, way: str, accuracy: np.ndarray, trials: Summed) -> str:
    changed, others = table[table["changed"]], table[~table["changed"]]
    difference = trials.test_accuracy.mean() - accuracy.mean()
    parts = [values.var(ddof=1) / len(values) for values in (trials.test_accuracy, accuracy)]
    which = f"{len(changed):,} {'most memorized' if way == 'memorized' else 'random'} examples"
    return (
        f"Labels of the {which} replaced: their memorization goes from {_change(changed)}; models "
        f"trained on them predict {changed['accuracy_in'].mean():.0%} of the new labels. That of "
        f"all other examples goes from {_change(others)}. Test accuracy is "
        f"{trials.test_accuracy.mean():.2%} ({100 * difference:+.2f} ± "
        f"{100 * np.sqrt(sum(parts)):.2f} points, SE)."
    )


def _change(rows: pd.DataFrame) -> str:
    before, after = rows["before"].to_numpy(float), rows["after"].to_numpy(float)
    change = (after - before)[~np.isnan(after - before)]
    error = change.std(ddof=1) / np.sqrt(len(change)) if len(change) > 1 else np.nan
    return (
        f"{np.nanmean(before):.3f} to {np.nanmean(after):.3f} "
        f"({change.mean():+.3f} ± {error:.3f}, SE over examples)"
    )
