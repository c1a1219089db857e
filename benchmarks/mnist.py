"""Measures the time of a trial of the authors' network on MNIST against a loop in JAX like theirs.

Their demonstration trains 784-512-256-10 with a jitted step of SGD with momentum, which Python
feeds batch by batch, and then predicts all training and test examples. The loop here does the same.
JAX compiles once, before the time is measured.
"""

import argparse
import time
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measured import Record, percent, recording, seconds
from benchmarks.peers.stacks import read_config, train_one_each
from tfmem.datasets import load
from tfmem.training.trainers import make_trainers

CONFIG = "configs/mnist_demo.yaml"


class JaxLoop:
    """Trains one trial at a time in JAX, as the authors' script does."""

    def __init__(self, config, data):
        self._settings = config.training
        self._sizes = (data.train_images[0].size, *config.model.hidden, len(data.class_names))
        self._images, self._tests = (
            images.reshape(len(images), -1).astype(np.float32) / 255
            for images in (data.train_images, data.test_images)
        )
        self._data = data
        self._targets = np.eye(self._sizes[-1], dtype=np.float32)[data.train_labels]
        self._update = jax.jit(self._update_weights)
        self._correct = jax.jit(lambda weights, x, y: jnp.argmax(_predict(weights, x), 1) == y)

    def _update_weights(self, weights, velocity, x, y):
        momentum, rate = self._settings.momentum, self._settings.learning_rate
        gradient = jax.grad(_loss)(weights, x, y)
        velocity = jax.tree.map(lambda v, g: momentum * v + g, velocity, gradient)
        return jax.tree.map(lambda w, v: w - rate * v, weights, velocity), velocity

    def trial(self, seed, epochs):
        """Trains on one subset; returns test accuracy."""
        rng = np.random.default_rng(seed)
        weights = [
            (rng.normal(0, np.sqrt(2 / (a + b)), (a, b)).astype(np.float32), np.zeros(b, "f"))
            for a, b in pairwise(self._sizes)
        ]
        velocity = jax.tree.map(np.zeros_like, weights)
        count, size = len(self._images), self._settings.batch_size
        subset = rng.permutation(count)[: round(self._settings.fraction * count)]
        x, y = self._images[subset], self._targets[subset]
        for _ in range(epochs):
            order = rng.permutation(len(x))
            for batch in np.split(order, range(size, len(order), size)):
                weights, velocity = self._update(weights, velocity, x[batch], y[batch])
        np.asarray(self._correct(weights, self._images, self._data.train_labels))
        return np.asarray(self._correct(weights, self._tests, self._data.test_labels)).mean()


def _predict(weights, x):
    for w, b in weights[:-1]:
        x = jax.nn.relu(x @ w + b)
    w, b = weights[-1]
    return x @ w + b


def _loss(weights, x, y):
    return -jnp.mean(jnp.sum(jax.nn.log_softmax(_predict(weights, x)) * y, axis=1))


def main():
    """Prints the seconds that a trial takes on each side, which take turns, and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with MNIST's official files")
    parser.add_argument("--set", action="append", default=[], help="a setting of tfmem's side")
    recording(parser)
    arguments = parser.parse_args()
    config = read_config(CONFIG, f"dataset.data_dir={arguments.data}", *arguments.set)
    data = load(config.dataset)
    trainers = make_trainers(config, data)
    lanes, size = len(trainers), trainers[0].stack_size
    loop = JaxLoop(config, data)
    loop.trial(seed=0, epochs=1)
    times, accuracies = [], []
    for turn in range(3):
        ours, outcomes = train_one_each(trainers, turn * lanes * size, config, data)
        middle = time.perf_counter()
        theirs = [loop.trial(turn * 2 + i, config.training.epochs) for i in range(2)]
        times.append((ours / len(outcomes), (time.perf_counter() - middle) / 2))
        right = [o.test.correct.mean() for o in outcomes.values()]
        accuracies.append((np.mean(right), np.mean(theirs)))
        print(f"turn {turn + 1} of 3: {times[-1][0]:.1f} s a trial, JAX {times[-1][1]:.1f} s")
    times, accuracies = np.median(times, axis=0), np.mean(accuracies, axis=0)
    record = Record("mnist")
    record.say("tfmem", models_at_once=size, lanes=lanes, precision=config.training.precision)
    record.say(
        "a trial by tfmem and by the loop in JAX",
        time=[seconds(each) for each in times],
        ratio=times[1] / times[0],
        test_accuracy=[percent(each) for each in accuracies],
    )
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
