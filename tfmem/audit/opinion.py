"""Predicts the classes of examples by models that never saw them.

Prediction records are not enough, because they say only whether models are right.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from tfmem.config import Config, ElsewhereSettings
from tfmem.datasets import AnyDataset, has_classes
from tfmem.experiments.training import draw
from tfmem.messages.terminal import say
from tfmem.store.files import write_atomically
from tfmem.store.npz import read_npy
from tfmem.training.dynamics import NotFollowedError, follow

_DRAW, _NAME = 2, "held_out.npy"


def asks(config: Config) -> bool:
    """Whether an audit trains these models.

    It does not with 0 folds, if models train one at a time, or if another program trained them.
    """
    stacked = config.training.trainer in ("stacked", "auto")
    elsewhere = isinstance(config.model, ElsewhereSettings)
    return config.experiments.audit.folds > 0 and stacked and not elsewhere


def ask(config: Config, dataset: AnyDataset, out: Path) -> None:
    """Trains a model for each of `experiments.audit.folds`, on all examples outside its fold.

    There is no opinion, and an empty array says so, if examples have no classes, or if only a
    model's own `fit` trains it.

    Args:
      config: the settings: model, recipe, seed, and `experiments.audit`.
      dataset: the data set with the examples.
      out: receives models and predictions; a call that was stopped continues.

    Raises:
      InputError: if a model diverges.
    """
    count, folds = len(dataset.train_labels), config.experiments.audit.folds
    fold = np.empty(count, np.int64)
    fold[draw(config, count, _DRAW)] = np.arange(count) % folds
    masks = [fold != number for number in range(folds)]
    opinion = np.zeros((0, 0), np.float32)
    if has_classes(dataset):
        try:
            probabilities = follow(config, dataset, masks, out).probabilities
            opinion = probabilities[fold, np.arange(count)]
        except NotFollowedError as error:
            say(f"no second opinion on labels: {error}")
    file = io.BytesIO()
    np.save(file, opinion)
    write_atomically(out / _NAME, file.getvalue())


def read_opinion(folder: Path) -> np.ndarray | None:
    """Reads the probabilities of classes that `ask` wrote: `[num_train, classes]`, or None.

    Raises:
      InputError: if the file is missing or damaged.
    """
    found = read_npy(folder / _NAME, "f", ("examples", "classes"))
    return found if found.size else None
