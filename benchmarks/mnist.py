"""The authors' network on MNIST: time a trial, against a loop in JAX as in their script.

Their demonstration trains 784-512-256-10 with a jitted step of SGD with momentum, fed batch by
batch from Python, and then predicts all of train and test. The loop here does the same.
"""

import sys
import time

import numpy as np

from tfmem.config import from_yaml
from tfmem.datasets import load
from tfmem.models import build
from tfmem.subsets import Trial
from tfmem.training.stacked import StackedTrainer, choose_stack_size

CONFIG = "configs/mnist_demo.yaml"


def jax_trial(config, data, seed):
    """One trial; returns test accuracy."""
    import jax
    import jax.numpy as jnp

    settings = config.training
    sizes = (data.train_images[0].size, *config.model.hidden, len(data.class_names))
    images, tests = (
        x.reshape(len(x), -1).astype(np.float32) / 255
        for x in (data.train_images, data.test_images)
    )
    targets = np.eye(sizes[-1], dtype=np.float32)[data.train_labels]

    def predict(weights, x):
        for w, b in weights[:-1]:
            x = jax.nn.relu(x @ w + b)
        w, b = weights[-1]
        return x @ w + b

    def loss(weights, x, y):
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(predict(weights, x)) * y, axis=1))

    @jax.jit
    def update(weights, velocity, x, y):
        gradient = jax.grad(loss)(weights, x, y)
        velocity = jax.tree.map(lambda v, g: settings.momentum * v + g, velocity, gradient)
        weights = jax.tree.map(lambda w, v: w - settings.learning_rate * v, weights, velocity)
        return weights, velocity

    @jax.jit
    def correct(weights, x, y):
        return jnp.argmax(predict(weights, x), axis=1) == y

    rng = np.random.default_rng(seed)
    weights = [
        (rng.normal(0, np.sqrt(2 / (a + b)), (a, b)).astype(np.float32), np.zeros(b, np.float32))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]
    velocity = jax.tree.map(np.zeros_like, weights)
    subset = rng.permutation(len(images))[: round(settings.fraction * len(images))]
    x, y = images[subset], targets[subset]
    for _ in range(settings.epochs):
        order = rng.permutation(len(x))
        for start in range(0, len(x), settings.batch_size):
            batch = order[start : start + settings.batch_size]
            weights, velocity = update(weights, velocity, x[batch], y[batch])
    np.asarray(correct(weights, images, data.train_labels))
    return float(np.asarray(correct(weights, tests, data.test_labels)).mean())


def main():
    """Prints seconds a trial of both, and their ratio."""
    if len(sys.argv) != 2:
        raise SystemExit("give the folder with MNIST's official files")
    config = from_yaml(open(CONFIG).read(), [f"dataset.data_dir={sys.argv[1]}"], CONFIG)
    data = load(config.dataset)
    model = build(config.model, data.train_images.shape[1:], 10)
    size = choose_stack_size(model, config.training)
    trainer = StackedTrainer(model, data, config.training, size)
    rows = []
    for turn in range(2):
        start = time.perf_counter()
        trials = [Trial(turn * size + i, 0) for i in range(size)]
        outcomes = trainer.train(trials, lambda: None)
        middle = time.perf_counter()
        theirs = [jax_trial(config, data, turn * 2 + i) for i in range(2)]
        end = time.perf_counter()
        ours = float(np.mean([o.test_correct for o in outcomes]))
        rows.append(((middle - start) / size, (end - middle) / 2))
        print(
            f"stacked ({size} at once) {rows[-1][0]:.1f} s a trial, test accuracy {ours:.2%}; "
            f"JAX {rows[-1][1]:.1f} s, {np.mean(theirs):.2%}; ratio {rows[-1][0] / rows[-1][1]:.2f}"
        )


if __name__ == "__main__":
    main()
