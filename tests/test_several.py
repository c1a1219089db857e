"""Several answers for each example: positions of sequences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.helpers.trials import unwatched
from tfmem.config import TaskSettings, from_yaml
from tfmem.datasets.given import given_dataset
from tfmem.messages.errors import InputError
from tfmem.subsets import Trial
from tfmem.tasks.several import SequenceTask
from tfmem.training.fit import FitTrainer

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("padding", [None, 0, -100])
@pytest.mark.parametrize("outputs", ["logits", "probabilities"])
def test_scores_of_sequences_are_means_over_positions_that_count(outputs, padding):
    logits = RNG.normal(size=(5, 7, 11)).astype(np.float32)
    logits[1] = np.nan  # a model that diverged on one example
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    if outputs == "probabilities":
        p[2, :, 5] = 0  # a logarithm that is finite all the same
    targets = RNG.integers(11, size=(5, 7))
    targets[0, 3:] = -100 if padding == -100 else 0
    given = logits if outputs == "logits" else p
    hits = given.argmax(axis=-1) == targets
    chances = np.take_along_axis(p, np.maximum(targets, 0)[..., None], axis=-1)[..., 0]
    counts = targets != padding
    for score, each in (("accuracy", hits), ("loss", np.log(np.maximum(chances, 1.2e-38)))):
        task = SequenceTask(outputs, score, padding)
        program = tf.function(task.in_program, autograph=False)
        found = program(None, tf.constant(targets), tf.constant(given))["score"].numpy()
        expected = [values[chosen].mean() for values, chosen in zip(each, counts, strict=True)]
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.isnan(found[1])


def test_a_model_of_sequences_trains_and_targets_without_an_output_are_refused():
    x, y = RNG.integers(9, size=(40, 4)), RNG.integers(3, size=(40, 4))
    y[:, 3] = -1

    def build(classes=3, length=4):
        model = keras.Sequential([
            keras.Input((4,)), keras.layers.Embedding(9, 8), keras.layers.Dense(classes),
            keras.layers.Cropping1D((0, 4 - length)),
        ])  # fmt: skip
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=-1)
        model.compile(keras.optimizers.Adam(0.1), loss)
        return model

    data = given_dataset("words", (x, y), (x[:4], y[:4]), task="sequence")
    settings = from_yaml("", ["training.epochs=1", "training.batch_size=8"]).training
    task = TaskSettings(name="sequence", padding=-1)
    trainer = FitTrainer(build, data, settings, task)
    (outcome,) = trainer.train([Trial(0, 0)], [np.arange(30)], unwatched)
    hits = trainer.model.predict(x, verbose=0).argmax(axis=-1) == y
    np.testing.assert_allclose(outcome.train.score, hits[:, :3].mean(axis=1))
    with pytest.raises(InputError, match=r"train: example 0: .* 0 to 2, .* received -1"):
        FitTrainer(build, data, settings, TaskSettings(name="sequence"))
    with pytest.raises(InputError, match=r"shape \[4, 'classes'\], received .* \[3, 3\]"):
        FitTrainer(lambda: build(length=3), data, settings, task)
