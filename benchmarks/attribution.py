"""Measures the completeness gaps of attribution on SST-2, and the time that an example takes.

Run it as `python -m benchmarks.attribution FOLDER [--models DIR]`. FOLDER holds sst2, and trained
models are kept in DIR. The curvature is that of some training examples only, which changes the
attributions but hardly the gaps.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.measured import Record, percent, recording, seconds
from benchmarks.peers.stacks import read_config
from tfmem.datasets import Dataset, load
from tfmem.encoders import as_arrays, with_encoder_digest
from tfmem.influence_functions.attribution.integral import attributions
from tfmem.influence_functions.attribution.splitting import splitter
from tfmem.influence_functions.fast import FastSolver
from tfmem.influence_functions.objective import Objective
from tfmem.training.outcome import Unwatched
from tfmem.training.whole import train_on_all


def main():
    """Prints a line for each rule and number of steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--examples", type=int, default=20)
    parser.add_argument("--curvature", type=int, default=200, help="examples for the curvature")
    parser.add_argument("--steps", type=int, nargs="+", default=[50])
    parser.add_argument("--rules", nargs="+", default=["midpoint", "left"])
    recording(parser)
    options = parser.parse_args()
    config = read_config(
        "configs/sst2.yaml",
        f"dataset.data_dir={options.data / 'sst2'}",
        f"model.trained_layers={options.layers}",
    )
    config = with_encoder_digest(config)
    dataset = load(config.dataset)
    arrays = as_arrays(config, dataset)
    if not isinstance(arrays, Dataset):
        raise SystemExit("expected activations in memory")
    models = options.models or Path(tempfile.mkdtemp())
    model, _ = train_on_all(config, arrays, 0, models, Unwatched())
    inputs, labels = arrays.train_images.astype(np.float32), arrays.train_labels
    some = np.linspace(0, len(labels) - 1, options.curvature).astype(int)
    decay = config.training.weight_decay
    objective = Objective(model, inputs, labels, None, decay, some, arrays.padded)
    # Examples whose label the model finds least probable are among the most memorized.
    believed = objective.probabilities(inputs)[np.arange(len(labels)), labels]
    chosen = np.random.default_rng(0).choice(
        np.argsort(believed)[: len(labels) // 10], options.examples, replace=False
    )
    solver, parts = FastSolver(objective), splitter(config, dataset, objective)
    next(attributions(solver, parts, chosen[:1], 2))  # traces the programs
    sizes = {"examples": options.examples, "examples of the curvature": options.curvature}
    record = Record(f"attribution/{options.layers}", settings=sizes)
    for steps in options.steps:
        for rule in options.rules:
            clock, work = time.perf_counter(), time.process_time()
            found = list(attributions(solver, parts, chosen, steps, rule))
            each = [(now() - was) / len(chosen) for now, was in
                    ((time.perf_counter, clock), (time.process_time, work))]  # fmt: skip
            gaps = [a.gap for a in found]
            record.say(
                f"{steps} steps, {rule}",
                median_gap=percent(np.median(gaps)),
                largest_gap=percent(np.max(gaps)),
                an_example=seconds(each[0]),
                processor_time=seconds(each[1]),
            )
    for a in sorted(found, key=lambda a: -a.memorization)[:5]:
        top = [f"{a.parts.words[n]} {a.scores[n] / a.replace:.2f}" for n in np.argsort(-a.scores)]
        print(f"{a.index}: {dataset.class_names[labels[a.index]]}: {', '.join(top[:6])}")
    if options.record:
        record.write()


if __name__ == "__main__":
    main()
