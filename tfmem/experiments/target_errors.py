"""Wrong targets of a task without classes, and what ranks them: memorization and cheaper scores.

The targets of some training examples are exchanged among them at random, so that the wrong ones are
known. Models that were trained without such an example are far off its target.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.config import Config, Statistic
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset
from tfmem.datasets.noise import exchange_targets
from tfmem.experiments.summed import Means, means_on
from tfmem.experiments.training import draw, train_on
from tfmem.messages.errors import InputError

MEMORIZATION = "memorization"
_WRONG = 3  # key of the random order by which wrong targets are chosen


def with_wrong_targets(
    dataset: AnyDataset, share: float, config: Config
) -> tuple[AnyDataset, np.ndarray]:
    """Exchanges a share of the training targets.

    Returns:
      The data set, and which of its targets are wrong, bool `[num_train]`.

    Raises:
      InputError: if the examples have no targets.
    """
    if not isinstance(dataset, Dataset | StructuredDataset) or dataset.train_targets is None:
        raise InputError(f"dataset: expected classes or targets, {dataset.name} has neither")
    count = len(dataset.train_targets)
    chosen = draw(config, count, _WRONG)[: round(share * count)]
    other = exchange_targets(dataset, chosen, config.seed)
    apart = np.asarray(other.train_targets != dataset.train_targets)
    return other, np.asarray(apart.reshape(count, -1).any(axis=1))


def folds_of(config: Config, folds: int, count: int) -> np.ndarray:
    """Marks the examples that each fold leaves out, int64 0 or 1 `[folds, num_train]`."""
    place = np.empty(count, np.int64)
    place[draw(config, count, 1)] = np.arange(count) % folds
    return (place == np.arange(folds)[:, None]).astype(np.int64)


def target_scores(
    config: Config, folds: int, dataset: AnyDataset, out: Path, statistic: Statistic | None
) -> tuple[dict[str, tuple[np.ndarray, int]], Means]:
    """Makes scores that are high for suspicious targets, with the number of trainings each costs.

    They are memorization, and minus the statistic by trials without the example, by the model of a
    cross-validation without it, and by one model that was trained on all examples.

    Args:
      config: the settings of the trials.
      folds: number of models of the cross-validation.
      dataset: the examples, some with wrong targets.
      out: receives trials and models.
      statistic: the setting `estimation.statistic`.

    Returns:
      The scores by name, and the means of the trials.
    """
    trials = means_on(config, dataset, out, statistic)
    count, cost = len(dataset.train_labels), trials.counts.num_trials
    parts = folds_of(config, folds, count)
    masks = [np.ones(count, bool), *(part == 0 for part in parts)]
    found = train_on(config, dataset, masks, out / "folds", trials.counts.measure)
    values = found.train.astype(np.float64)
    return {
        MEMORIZATION: (trials.memorization, cost),
        "left out of trials": (-trials.mean_out, cost),
        f"left out of {folds} folds": (-(parts * values[1:]).sum(axis=0), folds),
        "one model, after training": (-values[0], 1),
    }, trials
