"""Measures the cost of self-influence by `fast` and by the paper's LiSSA, and the ranks of `fast`.

Run it as `python -m benchmarks.self_influence [--data FOLDER] [--only WORD]`.

The ranks are compared with those of a reference: `cg` where it is cheap, and `exact` on the
encoder, where each product with the curvature takes a pass over all gradients. On the encoder, `cg`
is shown too, with the curvature of as many sentences as have gradients that fit in 4 GB. All
solvers have the same damping, and the Gauss-Newton matrix of the same examples: of all, or of as
many as --curvature-examples says (by default 1,000 on the encoder). In the latter case `fast` is
shown both with this matrix and with that of all examples. LiSSA is as in the paper: 1,002 steps on
batches of one, one example at a time.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from benchmarks.measured import Record, quantity, recording
from benchmarks.measured import seconds as in_seconds
from benchmarks.peers.stacks import read_config
from tfmem.datasets import load
from tfmem.encoders import as_arrays, with_encoder_digest
from tfmem.influence_functions.cg import ConjugateGradients
from tfmem.influence_functions.exact import ExactSolver
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.lissa import Lissa
from tfmem.influence_functions.objective import Objective
from tfmem.influence_functions.scores import influence, remove_scores
from tfmem.training.outcome import Unwatched
from tfmem.training.whole import train_on_all

SKETCH = 2048
LISSA = 3  # number of examples on which LiSSA is timed
OF_AN_ENCODER = 1000  # number of examples for the curvature of the reference
COMPARED = 200  # number of examples whose scores are compared with the reference's
COMPARED_OF_AN_ENCODER = 40
BY_CG = 10  # number of those for which `cg` is shown, too, on the encoder
GRADIENTS_OF_CG = (
    4 << 30
)  # bytes of the gradients from which `cg` gets its curvature, on the encoder


def trained(config, data, models):
    """Trains a model on all examples; returns a function from curvature examples to objectives."""
    folder = models or Path(tempfile.mkdtemp())
    model, _ = train_on_all(config, data, 0, folder / config.digest().hex()[:8], Unwatched())
    images = data.train_images.astype(np.float32) / data.white

    def objective(curvature_examples=None):
        return Objective(
            model,
            images,
            data.train_labels,
            weight_decay=config.training.weight_decay,
            curvature_examples=curvature_examples,
            padded=data.padded,
        )

    return objective


def cases(folder, models, drawn):
    """Yields the cases to measure.

    A case is its name, a function that trains its model (see `trained`), the size of the sketch,
    the number of examples for the reference's curvature (None for all), and test examples or None.
    """
    digits = read_config("configs/digits.yaml")
    yield "digits, dense", lambda: trained(digits, load(digits.dataset), models), SKETCH, None, None
    if folder is None:
        print("skipped: MNIST and SST-2, because --data does not name their folder")
        return
    mnist = read_config("configs/mnist_cnn.yaml", f"dataset.data_dir={folder}/mnist")

    def first_of_mnist():
        return trained(mnist, load(mnist.dataset).keep(np.arange(6000), np.arange(1000)), models)

    yield "MNIST (6,000), small CNN", first_of_mnist, SKETCH, 500, None
    for layers in (1, 2):
        settings = f"dataset.data_dir={folder}/sst2", f"model.trained_layers={layers}"
        config = with_encoder_digest(read_config("configs/sst2.yaml", *settings))
        data = as_arrays(config, load(config.dataset))
        tests = data.test_images.astype(np.float32), data.test_labels
        name = f"SST-2, encoder, last {layers} and head"
        some = drawn or OF_AN_ENCODER
        yield name, lambda c=config, d=data: trained(c, d, models), layers * SKETCH, some, tests


def sample(everything, count):
    """Returns the sorted indices of `count` random examples out of `everything`."""
    return np.sort(np.random.default_rng(1).permutation(everything)[:count])


def timed(function):
    """Calls `function`; returns its result, and the seconds that it took."""
    start = time.perf_counter()
    return function(), time.perf_counter() - start


def compare(name, objectives, damping, size, count, drawn, tests):
    """Measures one case, prints what it finds, and returns it as a record."""
    objective = objectives()
    everything = len(objective.labels)
    fast, before = timed(lambda: FastSolver(objective, damping, size))
    scores, seconds = timed(lambda: remove_scores(fast))
    order = np.random.default_rng(0).permutation(everything)
    chosen, each = np.sort(order[:count]), (before + seconds) / everything
    sizes = {"parameters": objective.num_parameters, "examples": everything, "sketch": size}
    record = Record("", settings=sizes | {"damping": damping, "examples compared": count})
    record.say(
        f"{name}, fast",
        all_examples=in_seconds(before + seconds),
        each=quantity(1000 * each, unit="ms"),
        effective_dimension=fast.effective_dimension,
    )
    gradients = next(objective.loss_gradients(*objective.take(chosen[:LISSA])))[1]
    Lissa(objective, steps=1).solve(gradients[:1])  # traces the program
    lissa = Lissa(objective)
    solutions, lissa_seconds = timed(lambda: [lissa.solve(row[None]) for row in gradients])
    lissa_each = lissa_seconds / LISSA
    record.say(
        f"{name}, LiSSA",
        each=in_seconds(lissa_each),
        converged=quantity(sum(int(s.converged.all()) for s in solutions), of=LISSA),
        times_as_long=lissa_each / each,
    )
    some = objective
    if drawn is not None and drawn < everything:
        some = objectives(sample(everything, drawn))
    reference = ExactSolver if tests else ConjugateGradients
    solver, made = timed(lambda: reference(some, damping))
    expected, solved = timed(lambda: remove_scores(solver, chosen))
    ranks = {"": scores.values[chosen]}
    if some is not objective:
        same = remove_scores(FastSolver(some, damping, size), chosen).values
        ranks = {" with the same curvature": same, " with that of all": scores.values[chosen]}
    record.say(
        f"{name}, {solver.name}, curvature of {len(some.curvature_examples):,}",
        time=in_seconds(made + solved),
        converged=quantity(int(expected.converged.sum()), of=count),
        **{
            f"Spearman of fast{which}": _spearman(values, expected.values)
            for which, values in ranks.items()
        },
    )
    if tests:
        held = GRADIENTS_OF_CG // (objective.num_parameters * objective.dtype.itemsize)
        small, few = objectives(sample(everything, held)), chosen[:BY_CG]
        by_cg, seconds = timed(lambda: remove_scores(ConjugateGradients(small, damping), few))
        by_exact = remove_scores(ExactSolver(small, damping), few).values
        record.say(
            f"{name}, cg, curvature of {held}",
            each=in_seconds(seconds / len(few)),
            converged=quantity(int(by_cg.converged.sum()), of=len(few)),
            largest_relative_difference_from_exact=np.nanmax(np.abs(by_cg.values / by_exact - 1)),
        )
        _, seconds = timed(lambda: influence(fast, *tests))
        record.say(
            f"{name}, influence on all of {len(tests[1]):,} test examples, fast",
            time=in_seconds(seconds),
        )
    return record


def _spearman(values, others):
    return spearmanr(values, others, nan_policy="omit")[0]


def main():
    """Measures each case; a case has a file of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder with mnist and sst2")
    parser.add_argument("--only", default="", help="measure only cases whose name contains this")
    parser.add_argument("--models", type=Path, help="folder in which trained models are kept")
    parser.add_argument("--damping", type=float, default=5e-3)
    parser.add_argument("--reference", type=int, help="examples that are compared")
    parser.add_argument(
        "--curvature-examples", type=int, help="examples for the reference's curvature, on SST-2"
    )
    recording(parser)
    options = parser.parse_args()
    for name, train, size, drawn, tests in cases(
        options.data, options.models, options.curvature_examples
    ):
        if options.only in name:
            count = options.reference or (COMPARED_OF_AN_ENCODER if tests else COMPARED)
            found = compare(name, train(), options.damping, size, count, drawn, tests)
            found.name = f"self-influence/{re.sub('[^a-z0-9]+', '-', name.lower())}"
            if options.record:
                found.write()


if __name__ == "__main__":
    main()
