"""Measures how the time of estimation grows with trials, training examples and test examples.

All pairs are searched. Starting from a middle size, each of the three numbers alone is made smaller
and larger. Each job is a process that reads and writes TFRecords. A straight line is fitted to the
CPU seconds. Its height at 0 is the time to start, which a tiny job shows, plus the work that does
not depend on the number: masks, for example, are read whatever the number of test examples.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.estimation import make, run
from benchmarks.measured import Record, recording, seconds

MIDDLE, FACTORS = (2000, 200_000, 20_000), (1 / 4, 1 / 2, 1, 2)
QUICK, QUICK_FACTORS = (2000, 100_000, 20_000), (1 / 4, 1, 2)
NAMES = "trials", "training examples", "test examples"
CLASSES = 100
# At 0.15 few trials find so many pairs by chance that p-values would take most of the time.
ALL_PAIRS = ["--pairs", "all", "--memorization", "-1", "--influence", "0.4"]


def measure(folder, size, repeats):
    """Returns the least wall seconds and the least CPU seconds of jobs of the given size."""
    predictions = folder / "x".join(map(str, size))
    if not predictions.exists():
        trials, num_train, num_test = size
        make(predictions, trials, num_train, num_test, CLASSES)
    jobs = [run(predictions, folder / "out", ALL_PAIRS) for _ in range(repeats)]
    return min(job[0] for job in jobs), min(job[2] for job in jobs)


def line(sizes, times):
    """Returns height and slope of the line fitted to `times`, and how far they are from it."""
    rate, height = np.polyfit(sizes, times, 1)
    return height, rate, np.abs(height + rate * np.array(sizes) - times).max()


def main():
    """Prints a table for each of the three numbers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller: three minutes")
    parser.add_argument("--repeats", type=int, default=1, help="runs of each size; the best counts")
    recording(parser)
    arguments = parser.parse_args()
    middle, factors = (QUICK, QUICK_FACTORS) if arguments.quick else (MIDDLE, FACTORS)
    settings = dict(zip(NAMES, middle, strict=True)) | {"factors": factors}
    record = Record("growth", settings=settings)
    with tempfile.TemporaryDirectory() as temporary:
        folder, found = Path(temporary), {}
        start = measure(folder, (100, 1000, 500), arguments.repeats)
        record.say("a tiny job", time=seconds(start[0]), processor_time=seconds(start[1]))
        for axis, name in enumerate(NAMES):
            print(f"{name:>18} {'s':>7} {'CPU s':>7}")
            sizes = [int(middle[axis] * factor) for factor in factors]
            for number in sizes:
                size = (*middle[:axis], number, *middle[axis + 1 :])
                if size not in found:
                    found[size] = measure(folder, size, arguments.repeats)
                print(f"{number:>18,} {found[size][0]:7.1f} {found[size][1]:7.1f}", flush=True)
            busy = [found[(*middle[:axis], n, *middle[axis + 1 :])][1] for n in sizes]
            height, rate, off = (seconds(each) for each in line(sizes, busy))
            a_thousand = seconds(1000 * rate["value"])
            record.say(
                f"processor time by {name}", at_0=height, a_thousand_more=a_thousand, off=off
            )
        record.values["processor time of the middle size"] = seconds(found[middle][1])
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
