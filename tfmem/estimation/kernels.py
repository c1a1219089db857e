"""Exact co-occurrence counts on packed bits.

The estimator needs, for every pair of a training example `i` and a predicted example `j`, in how
many trials `i` was in the subset *and* `j` was predicted correctly. With one bit a trial that is
the number of ones in the AND of two rows of bits, 64 trials a machine word.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tfmem.estimation.compiling import compiled
from tfmem.estimation.tiles import COLUMNS, ROWS, aligned, as_panels, count_rows, padded


def co_occurrence(rows: np.ndarray, columns: np.ndarray, threads: int | None = None) -> np.ndarray:
    """In how many trials both bits are set, for every pair of a row and a column.

    Args:
      rows: uint64 `[num_rows, words]`, bit `k % 64` of word `k // 64` for trial `k`.
      columns: uint64 `[num_columns, words]`, likewise.
      threads: how many to count with; None is one for each core that the process may use.

    Returns:
      int32 `[num_rows, num_columns]`.
    """
    (num_rows, words), num_columns = rows.shape, len(columns)
    if not num_rows or not num_columns or not words:
        return np.zeros((num_rows, num_columns), np.int32)
    rows, panels = padded(rows, ROWS), as_panels(columns)
    out = aligned(len(rows), len(panels) * COLUMNS)
    parts = shares(len(rows), threads)
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: count_rows(rows[part], panels, out[part]), parts))
    return out[:num_rows, :num_columns]


def shares(rows: int, threads: int | None) -> list[slice]:
    """Rows in equal shares for threads, each a multiple of a tile's."""
    threads = threads or len(os.sched_getaffinity(0))
    share = -(-rows // (threads * ROWS)) * ROWS
    return [slice(start, start + share) for start in range(0, rows, share)]


def transpose_bits(packed: np.ndarray, count: int) -> np.ndarray:
    """Turns bits packed along examples into bits packed along trials.

    Args:
      packed: uint8 `[trials, ceil(count / 8)]`, bit `i % 8` of byte `i // 8` for example `i`.
      count: number of examples.

    Returns:
      uint64 `[count, ceil(trials / 64)]`; bits beyond the last trial are 0.
    """
    trials, width = packed.shape
    out = np.zeros((width * 8, -(-trials // 64)), "<u8")
    _transpose(np.ascontiguousarray(packed), out.view(np.uint8))
    return out[:count].astype(np.uint64, copy=False)


@compiled
def _transpose(packed: np.ndarray, out: np.ndarray) -> None:
    """Squares of 8 x 8 bits at a time, 64 bytes of a row one after the other."""
    trials, width = packed.shape
    for block in range(0, width, 64):
        for group in range(0, trials, 8):
            for byte in range(block, min(block + 64, width)):
                x = np.uint64(0)
                for trial in range(group, min(group + 8, trials)):
                    x |= np.uint64(packed[trial, byte]) << np.uint64(8 * (trial - group))
                # Exchanges bits, pairs, fours across the diagonal (Warren 2012, Sec. 7-3).
                y = (x ^ (x >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
                x ^= y ^ (y << np.uint64(7))
                y = (x ^ (x >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
                x ^= y ^ (y << np.uint64(14))
                y = (x ^ (x >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
                x ^= y ^ (y << np.uint64(28))
                for example in range(8):
                    out[byte * 8 + example, group >> 3] = np.uint8(
                        (x >> np.uint64(8 * example)) & np.uint64(255)
                    )


def ones(bits: np.ndarray) -> np.ndarray:
    """How many bits are set in each row of uint64 `[rows, words]`: int64 `[rows]`."""
    return np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
