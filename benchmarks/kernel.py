"""Measures counting co-occurrences of packed bits against a float32 matrix product of equal size.

The product counts exactly too (float32 holds integers up to 2^24), so both results must be equal.
"""

import argparse
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numba import njit

from benchmarks.measured import Column, Record, quantity, recording
from tfmem.estimation import kernels, tiles

REPEATS = 7


def seconds(function):
    """Returns the seconds of one call, which begins when the threads of the call before are idle.

    The threads of a matrix product spin for tens of milliseconds after its end.
    """
    time.sleep(0.2)
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@njit(nogil=True)
def _one_tile(repeats, rows, panel, out):
    for _ in range(repeats):
        tiles.count_rows(rows, panel, out)


def popcount_limit(words=64, repeats=200_000):
    """Returns the bit-products per second if rows and columns never leave the first-level cache."""
    threads = len(os.sched_getaffinity(0))
    rows = np.full((tiles.ROWS, words), 0x5555555555555555, np.uint64)
    panel = np.zeros((1, words, tiles.COLUMNS), np.uint64)
    out = [tiles.aligned(tiles.ROWS, tiles.COLUMNS) for _ in range(threads)]
    _one_tile(1, rows, panel, out[0])
    with ThreadPoolExecutor(threads) as pool:
        took = min(
            seconds(lambda: list(pool.map(lambda mine: _one_tile(repeats, rows, panel, mine), out)))
            for _ in range(REPEATS)
        )
    return threads * repeats * tiles.ROWS * tiles.COLUMNS * words * 64 / took


def compare(trials, rows, columns):
    """Times both sides in turn; returns the median seconds of each, and the median ratio."""
    rng = np.random.default_rng(0)
    masks = rng.random((trials, rows), np.float32) < 0.7
    correct = rng.random((trials, columns), np.float32) < 0.8
    left, right = masks.astype(np.float32), correct.astype(np.float32)
    first, second = (
        kernels.transpose_bits(np.packbits(x, axis=1, bitorder="little"), x.shape[1])
        for x in (masks, correct)
    )
    if not np.array_equal(kernels.co_occurrence(first, second), left.T @ right):
        raise SystemExit("the counts differ from the product")
    pairs = [
        (seconds(lambda: kernels.co_occurrence(first, second)), seconds(lambda: left.T @ right))
        for _ in range(REPEATS)
    ]
    ours, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    return ours, theirs, statistics.median(b / a for a, b in pairs)


def main():
    """Prints one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    recording(parser)
    arguments, rows = parser.parse_args(), []
    limit = popcount_limit()
    print(
        f"one tile that stays in the first-level cache, all cores: {limit / 1e12:.2f} T "
        "bit-products/s"
    )
    for trials, train, columns in (
        (4000, 2000, 2000),
        (4000, 4000, 4000),
        (4000, 6000, 10000),
        (2000, 4000, 4000),
    ):
        ours, theirs, ratio = compare(trials, train, columns)
        rate = trials * train * columns / ours
        print(
            f"t={trials} {train}x{columns}: {1e3 * ours:.1f} ms, float32 product "
            f"{1e3 * theirs:.0f} ms, ratio {ratio:.1f}; {rate / 1e12:.2f} T bit-products/s, "
            f"{rate / limit:.0%} of that limit; equal counts"
        )
        size = f"co-occurrence counts, t = {trials:,}, {train:,} x {columns:,}"
        rows.append([size, 1e3 * ours, 1e3 * theirs, ratio, 100 * rate / limit])
    if arguments.record:
        record = Record("kernel", settings={"repeats": REPEATS})
        record.values["limit"] = quantity(limit / 1e12, unit="T bit-products/s")
        heads = (
            Column("what is measured"),
            Column("tfmem", "ms", 1),
            Column("one float32 matrix product", "ms", 0),
            Column("ratio", "", 1),
            Column("share of the speed in the first-level cache", "%", 0),
        )
        record.table("sizes", heads, rows)
        record.write()


if __name__ == "__main__":
    main()
