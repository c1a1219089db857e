"""The loop that one would write instead: build, compile, fit, predict, for each subset."""

from pathlib import Path

import keras
import numpy as np

from tfmem.config import Config, from_yaml
from tfmem.models import build
from tfmem.subsets import subset_size
from tfmem.training.schedules import learning_rates


def read_config(path: str, *overrides: str) -> Config:
    """The settings in a file."""
    return from_yaml(Path(path).read_text(encoding="utf-8"), overrides, path)


class _Rates(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, settings, steps):
        self._rates = keras.ops.convert_to_tensor(learning_rates(settings, steps))

    def __call__(self, step):
        return self._rates[keras.ops.cast(step, "int32")]


def fit_one(config, dataset, seed):
    """One trial with `model.fit`: subset mask, correctness on train and on test."""
    settings = config.training
    keras.utils.set_random_seed(seed)
    n = len(dataset.train_labels)
    size = subset_size(n, settings.fraction)
    subset = np.random.default_rng(seed).permutation(n)[:size]
    steps = settings.epochs * -(-size // settings.batch_size)
    model = build(config.model, dataset.train_images.shape[1:], len(dataset.class_names))
    model.compile(
        keras.optimizers.SGD(_Rates(settings, steps), momentum=settings.momentum),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    scaled = [
        images.astype(np.float32) / dataset.white
        for images in (dataset.train_images, dataset.test_images)
    ]
    model.fit(
        scaled[0][subset],
        dataset.train_labels[subset],
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        verbose=0,
    )
    guesses = [model.predict(x, batch_size=512, verbose=0).argmax(-1) for x in scaled]
    mask = np.zeros(n, bool)
    mask[subset] = True
    return mask, guesses[0] == dataset.train_labels, guesses[1] == dataset.test_labels
