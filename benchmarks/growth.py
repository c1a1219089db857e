"""How the time of estimation grows with trials, training and test examples: all pairs, searched.

From a middle size each of the three is halved and doubled alone; whole processes, TFRecords in and
out. What a job of next to nothing takes is subtracted, and the slope is that of a line through what
is left, both axes logarithmic: 1 is linear, and less where part of the work does not depend on the
number (masks are read whatever the number of test examples).
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.estimation import make, run

MIDDLE, FACTORS = (2000, 200_000, 20_000), (1 / 4, 1 / 2, 1, 2)
QUICK, QUICK_FACTORS = (2000, 100_000, 20_000), (1 / 4, 1, 2)
NAMES = "trials", "training examples", "test examples"
CLASSES = 100
# At 0.15 few trials find so many pairs by chance that what they cost is p-values.
ALL_PAIRS = ["--pairs", "all", "--memorization", "-1", "--influence", "0.4"]


def measure(folder, size, repeats):
    """Least wall and CPU seconds of a job of that size."""
    predictions = folder / "x".join(map(str, size))
    if not predictions.exists():
        make(predictions, *size, CLASSES)
    jobs = [run(predictions, folder / "out", ALL_PAIRS) for _ in range(repeats)]
    return min(job[0] for job in jobs), min(job[2] for job in jobs)


def slope(sizes, seconds):
    """Of a line through both logarithms."""
    return np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-3)), 1)[0]


def main():
    """Prints a table a number."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller: three minutes")
    parser.add_argument("--repeats", type=int, default=1, help="runs a size, of which the best")
    arguments = parser.parse_args()
    middle, factors = (QUICK, QUICK_FACTORS) if arguments.quick else (MIDDLE, FACTORS)
    with tempfile.TemporaryDirectory() as temporary:
        folder, found = Path(temporary), {}
        start = np.array(measure(folder, (100, 1000, 500), arguments.repeats))
        print(f"start: {start[0]:.1f} s, {start[1]:.1f} s of CPU; load {os.getloadavg()[0]:.1f}")
        for axis, name in enumerate(NAMES):
            print(f"{name:>18} {'s':>7} {'beyond':>7} {'CPU s':>7} {'beyond':>7}")
            sizes, beyond = [], []
            for factor in factors:
                size = tuple(int(n * factor) if i == axis else n for i, n in enumerate(middle))
                if size not in found:
                    found[size] = np.array(measure(folder, size, arguments.repeats))
                wall, busy = found[size]
                sizes.append(size[axis])
                beyond.append(found[size] - start)
                print(
                    f"{size[axis]:>18,} {wall:7.1f} {beyond[-1][0]:7.1f} {busy:7.1f} "
                    f"{beyond[-1][1]:7.1f}",
                    flush=True,
                )
            slopes = [slope(sizes, seconds) for seconds in np.array(beyond).T]
            print(f"{'slope':>18} {'':7} {slopes[0]:7.2f} {'':7} {slopes[1]:7.2f}", flush=True)


if __name__ == "__main__":
    main()
