"""The data and the recipes that all sides train: the same steps on examples of the same sizes."""

import os
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits


@dataclass
class Task:
    """What is trained.

    Attributes:
      x: examples, the training examples first.
      y: their classes, int32.
      num_train: number of training examples.
      sizes: sizes of the network.
      epochs: passes over a subset of 70%.
      batch: number of examples in a step; the last batch of an epoch may be smaller.
      peak: highest learning rate.
      warmup: share of the steps in which it rises linearly from 0, to fall back linearly; None
        leaves it constant.
    """

    x: np.ndarray
    y: np.ndarray
    num_train: int
    sizes: tuple[int, ...]
    epochs: int
    batch: int
    peak: float
    warmup: float | None = 0.15

    @property
    def size(self):
        """The number of examples in a subset."""
        return round(0.7 * self.num_train)

    @property
    def rates(self):
        """The learning rate of each step, float32."""
        steps = self.epochs * -(-self.size // self.batch)
        if self.warmup is None:
            return np.full(steps, self.peak, np.float32)
        place = (np.arange(steps) + 0.5) / steps
        return np.interp(place, [0, self.warmup, 1], [0, self.peak, 0]).astype(np.float32)


def digits():
    """scikit-learn's digits, split as tfmem splits them, as in configs/digits.yaml."""
    x, y = load_digits(return_X_y=True)
    held = np.zeros(len(y), bool)
    held[np.argsort(y, kind="stable")[::5]] = True
    order = np.concatenate([np.flatnonzero(~held), np.flatnonzero(held)])
    x, y = (x[order] / 16).astype(np.float32), y[order].astype(np.int32)
    return Task(x, y, int((~held).sum()), (64, 128, 64, 10), 20, 64, 0.15)


def cancer():
    """The tumours of `python -m benchmarks.own cancer`, with AdamW."""
    x, y = load_breast_cancer(return_X_y=True)
    x = ((x - x[:400].mean(axis=0)) / x[:400].std(axis=0)).astype(np.float32)
    return Task(x, y.astype(np.int32), 400, (30, 64, 2), 20, 32, 1e-3, None)


def transformer():
    """One epoch on SST-2, as in configs/text_small.yaml; `DATA` is the folder that holds sst2."""
    from benchmarks.peers.stacks import read_config
    from tfmem.datasets import load
    from tfmem.encoders import as_arrays

    config = read_config("configs/text_small.yaml", f"dataset.data_dir={os.environ['DATA']}/sst2")
    data, model = as_arrays(config, load(config.dataset)), config.model
    x = np.concatenate([data.train_images, data.test_images])
    y = np.concatenate([data.train_labels, data.test_labels]).astype(np.int32)
    sizes = model.vocabulary, model.length, model.width, len(data.class_names)
    return Task(x, y, len(data.train_labels), sizes, 1, 64, 0.3)


TASKS = {"digits": digits, "cancer": cancer, "transformer": transformer}
