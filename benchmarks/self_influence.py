"""Self-influence: what an example costs by `fast` and by the paper's LiSSA, and how `fast` ranks.

Run as `python -m benchmarks.self_influence [--data FOLDER]`.

A case is an objective; a text encoder's is one more in `cases`. The reference of the ranking is
`cg` with the same curvature (Gauss-Newton, of the same examples) and the same damping. LiSSA is as
in the paper: 1,002 steps on batches of one, one example at a time.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.peers import read_config
from tfmem.datasets import load
from tfmem.self_influence import (
    ConjugateGradients,
    FastSolver,
    Lissa,
    Objective,
    remove_scores,
)
from tfmem.training.outcome import Unwatched
from tfmem.training.whole import train_on_all

LISSA = 3  # examples that LiSSA is timed on


def trained(config, data, curvature_examples=None):
    """The objective of a configuration's model, trained on everything."""
    with tempfile.TemporaryDirectory() as folder:
        model, _ = train_on_all(config, data, 0, folder, Unwatched())
    images = data.train_images.astype(np.float32) / data.white
    return Objective(
        model,
        images,
        data.train_labels,
        weight_decay=config.training.weight_decay,
        curvature_examples=curvature_examples,
    )


def cases(folder):
    """Objectives by name."""
    digits = read_config("configs/digits.yaml")
    yield "digits, dense", trained(digits, load(digits.dataset))
    if folder is None:
        print("skipped: MNIST; give --data")
        return
    mnist = read_config("configs/mnist_cnn.yaml", f"dataset.data_dir={folder}/mnist")
    data = load(mnist.dataset)
    first = data.keep(np.arange(6000), np.arange(1000))
    # cg takes hundreds of products with the curvature: it gets that of 500 examples, and so do all.
    yield "MNIST (6,000), small CNN", trained(mnist, first, np.arange(0, 6000, 12))


def timed(function):
    """What it returns, and seconds."""
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def compare(name, objective, damping, reference):
    """Prints one case."""
    count = len(objective.labels)
    fast, before = timed(lambda: FastSolver(objective, damping))
    scores, seconds = timed(lambda: remove_scores(fast))
    chosen = np.random.default_rng(0).permutation(count)[:reference]
    cg = ConjugateGradients(objective, damping, tolerance=1e-4)
    expected, cg_seconds = timed(lambda: remove_scores(cg, chosen))
    lissa = Lissa(objective)
    remove_scores(Lissa(objective, steps=1, tolerance=np.inf), chosen[:1])  # traces the program
    _, lissa_seconds = timed(
        lambda: [remove_scores(lissa, chosen[i : i + 1]) for i in range(LISSA)]
    )
    each, lissa_each = (before + seconds) / count, lissa_seconds / LISSA
    rank = spearmanr(scores.values[chosen], expected.values, nan_policy="omit")[0]
    print(
        f"{name}: {objective.num_parameters:,} parameters, damping {damping:g}; fast "
        f"{before + seconds:.1f} s for {count:,} examples ({1000 * each:.2f} ms each, effective "
        f"dimension {fast.effective_dimension:.0f}), LiSSA {lissa_each:.2f} s each, ratio "
        f"{lissa_each / each:,.0f}; cg {cg_seconds / reference:.2f} s each, "
        f"{expected.converged.sum()} of {reference} converged, Spearman of fast {rank:.4f}",
        flush=True,
    )


def main():
    """Prints a line for each case."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    parser.add_argument("--damping", type=float, default=5e-3)
    parser.add_argument("--reference", type=int, default=200, help="examples that cg scores")
    options = parser.parse_args()
    for name, objective in cases(options.data):
        compare(name, objective, options.damping, options.reference)


if __name__ == "__main__":
    main()
