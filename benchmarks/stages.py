"""Measures the steps of estimation one after the other, in one process without Beam.

The jobs of `benchmarks.estimation` take longer than the sum of these steps, because they also start
Python and Beam, and move bits between steps.
"""

import argparse
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.measured import Record, recording, seconds
from tfmem.aggregation.bits import by_class, turned
from tfmem.aggregation.counting import count_class
from tfmem.aggregation.estimates import influence_record
from tfmem.aggregation.reading import load_labels
from tfmem.estimation.kernels import ones
from tfmem.estimation.search import Search
from tfmem.store.shards import read_shard

TILE, FOUND = 65_536, 4_000_000


def main():
    """Prints one line for each step."""
    record = Record("stages")

    @contextmanager
    def step(name):
        """Notes how long the block takes, under the given name."""
        start, busy = time.perf_counter(), time.process_time()
        yield
        wall, busy = time.perf_counter() - start, time.process_time() - busy
        record.say(name, time=seconds(wall), processor_time=seconds(busy))

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("predictions", type=Path, help="folder of shards and labels.npz")
    recording(parser)
    options = parser.parse_args()
    predictions = options.predictions
    labels = load_labels(str(predictions / "labels.npz"))
    train, test = len(labels.train_labels), len(labels.test_labels)
    with step("reading"):
        shards = sorted(predictions.glob("*.tfrecord"))
        records = [record for shard in shards for record in read_shard(shard)]
    trials = len(records)
    record.settings |= {"trials": trials, "training examples": train, "test examples": test}
    with step("transposing"):
        masks = turned([record.subset_mask for record in records], train)
        train_correct = turned([record.train_correct for record in records], train)
        test_correct = turned([record.test_correct for record in records], test)
        del records
    with step("counting, same class"):
        counts = [
            count_class(
                label,
                group,
                trials,
                masks[group.train],
                train_correct[group.train],
                test_correct[group.test],
            )
            for label, group in by_class(labels).items()
        ]
    with step("estimating and encoding, same class"):
        for of_class in counts:
            influence_record(of_class)
    search = Search(test_correct, trials, FOUND)
    never = np.full(test, np.inf)
    search(masks[:4], ones(masks[:4]), -never, never)  # compiles
    with step("searching all pairs"):
        for start in range(0, train, TILE):
            rows = masks[start : start + TILE]
            search(rows, ones(rows), -never, never)
    if options.record:
        record.write()


if __name__ == "__main__":
    main()
