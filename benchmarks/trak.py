"""Time and memory of TRAK from one model, on random examples and a small dense network.

python -m benchmarks.trak [--train 50000] [--test 200] [--projection 4096] [--record]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import Record, recording
from tfmem.config import DenseSettings, from_yaml
from tfmem.experiments.measuring import measured
from tfmem.influence_functions.methods import METHODS
from tfmem.influence_functions.methods.method import TrainedState
from tfmem.influence_functions.methods.sums import Sums
from tfmem.influence_functions.objective import Objective
from tfmem.models import build

INPUTS, CLASSES = 64, 10


def main() -> None:
    """Prints, or records, what the scores of one model cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=50_000)
    parser.add_argument("--test", type=int, default=200)
    parser.add_argument("--projection", type=int, default=4096)
    recording(parser)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    train, test = (
        rng.standard_normal((count, INPUTS), np.float32)
        for count in (arguments.train, arguments.test)
    )
    labels = rng.integers(CLASSES, size=arguments.train), rng.integers(CLASSES, size=len(test))
    model = build(DenseSettings(hidden=(128, 64)), (INPUTS,), CLASSES)
    objective = Objective(model, train, labels[0])
    config = from_yaml("", [f"gradient_attribution.projection={arguments.projection}"])
    state = TrainedState(objective, test, labels[1], 1.0, 0)
    with tempfile.TemporaryDirectory() as folder, measured() as took:
        out = Path(folder)
        sums = Sums(out, (len(train), len(test)), b"benchmark")
        sums.add(METHODS["trak"].contribution(state, config, out))
        sums.write(out / "scores.npy", None, True)
    record = Record(
        "data-attribution/trak",
        settings={
            "examples": [len(train), len(test)],
            "projection": arguments.projection,
            "parameters": objective.num_parameters,
        },
        values={
            "seconds": round(took.seconds, 1),
            "processor seconds": round(took.cpu_seconds, 1),
            "memory in GB": round(took.memory / 1e9, 2),
        },
    )
    print(record.settings, record.values)
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
