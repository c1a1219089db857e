"""Measures the influence of all pairs of a block against the products in Feldman & Zhang's script.

The script computes two matrix products, here of masks as float32; it leaves the type to numpy. Each
side begins with what it has of trials, bits of records or arrays of booleans, and ends with float32
influence. By default the block is the largest of CIFAR-100 (t = 4,000, 10,000 test examples) for
which the script's five matrices, and tfmem's result, fit into 10 GB.
"""

import argparse
import time

import numpy as np

from benchmarks.measured import Record, recording, seconds
from tfmem.estimation.dense import DenseInfluence
from tfmem.estimation.kernels import transpose_bits

SIZE = 4000, 40_000, 10_000
QUICK = 4000, 8000, 10_000
ROUNDING = 4 * np.finfo(np.float32).eps  # two quotients of at most 1, and their difference


def two_products(masks, correct):
    """Computes influence `[train, test]` from masks `[t, train]` and correctness `[t, test]`."""

    def mean(mask):
        return mask.T @ right / np.maximum(mask.sum(axis=0), 1e-10)[:, None]

    right = correct.astype(np.float32)
    return mean(masks.astype(np.float32)) - mean(np.logical_not(masks).astype(np.float32))


def packed(bits):
    """Packs booleans into bits as records hold them."""
    return np.packbits(bits, axis=1, bitorder="little")


def now():
    """Returns wall and CPU seconds; CPU seconds are more reliable on a shared machine."""
    return np.array([time.perf_counter(), time.process_time()])


def main():
    """Prints the seconds of both sides, which take turns, and those of tfmem's steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only a fifth of the block")
    parser.add_argument("--repeats", type=int, default=3)
    recording(parser)
    arguments = parser.parse_args()
    trials, train, test = QUICK if arguments.quick else SIZE
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 10, (trials, train), np.uint8) < 7
    correct = rng.integers(0, 10, (trials, test), np.uint8) < 8
    rows, columns = packed(masks), packed(correct)

    bits = transpose_bits(rows[:, :1], 8), transpose_bits(columns[:, :1], 8)
    DenseInfluence(bits[1], trials)(bits[0])  # compiles
    times = []
    for _ in range(arguments.repeats):
        marks = [now()]
        bits = transpose_bits(rows, train), transpose_bits(columns, test)
        marks.append(now())
        ours = DenseInfluence(bits[1], trials)(bits[0])
        marks.append(now())
        time.sleep(0.2)
        start = now()
        theirs = two_products(masks, correct)
        times.append([*np.diff(marks, axis=0), now() - start])
        worst = max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
        if not worst <= ROUNDING:
            raise SystemExit(f"influence differs by {worst}")
        del ours, theirs
        time.sleep(0.2)  # threads of the product spin for a while when it is done
    turning, estimating, products = np.min(times, axis=0)
    sizes = {"trials": trials, "training examples": train, "test examples": test}
    record = Record("products", settings=sizes | {"best of": arguments.repeats})
    whole = turning + estimating
    parts = {"tfmem": whole, "of it, transposing": turning, "two products": products}
    for name, (wall, busy) in parts.items():
        record.say(name, time=seconds(wall), processor_time=seconds(busy))
    wall, busy = products / whole
    record.say("the two products over tfmem", time=wall, processor_time=busy)
    record.say("influence", largest_difference=float(worst))
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
