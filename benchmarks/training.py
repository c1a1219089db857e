"""Stacked training against a loop of `model.fit`: time a trial, accuracy, memorization.

Both train the same network on subsets of the same size with the same epochs, batch and schedule;
their trials are independent of each other.
"""

import argparse
import time

import numpy as np

from benchmarks.peers import fit_one, read_config
from tfmem.datasets import load
from tfmem.estimation.estimator import difference
from tfmem.subsets import Trial
from tfmem.training.stacked import StackedTrainer, choose_stack_size


def memorization(masks, correct):
    """Estimates with standard errors from masks and correctness `[trials, num_train]`."""
    num_in, right_in = masks.sum(axis=0), (masks & correct).sum(axis=0)
    right_out = (~masks & correct).sum(axis=0)
    return difference(right_in, num_in, right_out, len(masks) - num_in)


def compare(path, fits, stacks):
    """Prints how one configuration does both ways."""
    from tfmem.models import build

    config = read_config(path)
    data = load(config.dataset)
    model = build(config.model, data.train_images.shape[1:], len(data.class_names))
    size = choose_stack_size(model, config.training)
    trainer = StackedTrainer(model, data, config.training, size)
    n = len(data.train_labels)

    # Not counted: the first call of a process, or of a program, is slower.
    fit_one(config, data, seed=10**6)
    trainer.train([Trial(10**6 + i, 0) for i in range(size)], lambda: None)
    fit_time = stack_time = 0.0
    fitted, outcomes, trials = [], [], []
    for turn in range(stacks):  # in turn, so that both see the same machine
        start = time.perf_counter()
        ids = [Trial(turn * size + i, 0) for i in range(size)]
        outcomes += trainer.train(ids, lambda: None)
        trials += ids
        middle = time.perf_counter()
        fitted += [fit_one(config, data, seed) for seed in range(turn * fits, (turn + 1) * fits)]
        stack_time += middle - start
        fit_time += time.perf_counter() - middle
    ours, theirs = stack_time / len(trials), fit_time / len(fitted)

    masks = np.zeros((len(trials), n), bool)
    for row, trial in zip(masks, trials, strict=True):
        row[trial.subset(n, trainer._size)] = True
    stacked = memorization(masks, np.stack([o.train_correct for o in outcomes]))
    looped = memorization(np.stack([f[0] for f in fitted]), np.stack([f[1] for f in fitted]))
    z = (stacked.value - looped.value) / np.hypot(stacked.stderr, looped.stderr)
    accuracy = [np.mean([o.test_correct for o in outcomes]), np.mean([f[2] for f in fitted])]
    print(
        f"{path}: stacked ({size} at once) {ours:.3f} s a trial, model.fit {theirs:.2f} s: "
        f"ratio {theirs / ours:.1f}\n"
        f"  test accuracy {accuracy[0]:.2%} ({len(trials)} trials) and {accuracy[1]:.2%} "
        f"({len(fitted)}); memorization differs by more than 3 joint standard errors in "
        f"{np.mean(np.abs(z) > 3):.2%} of {n} examples, correlation "
        f"{np.corrcoef(stacked.value, looped.value)[0, 1]:.3f}"
    )


def main():
    """Compares the dense and the convolutional network on digits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", type=int, default=25, help="model.fit trials a turn")
    parser.add_argument("--stacks", type=int, default=4, help="turns")
    arguments = parser.parse_args()
    compare("configs/digits.yaml", arguments.fits, arguments.stacks)
    compare("configs/digits_cnn.yaml", max(1, arguments.fits // 3), arguments.stacks)


if __name__ == "__main__":
    main()
