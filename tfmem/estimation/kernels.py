"""Exact co-occurrence counts on packed bits.

The estimator needs, for every pair of a training example `i` and a predicted example `j`, in how
many trials `i` was in the subset *and* `j` was predicted correctly. With one bit a trial that is
the number of ones in the AND of two rows of bits, 64 trials a machine word.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

_LANES = 8  # 64-bit words in a vector
_ROWS, _VECTORS = 4, 2  # a tile's accumulators: 4 rows of 2 vectors stay in registers
_COLUMNS = _LANES * _VECTORS
_BLOCK = 64  # rows that pass over one panel of columns while it is in cache


@intrinsic
def _count_tile(  # type: ignore[no-untyped-def]
    context, rows, row_words, panel, out, out_columns
):
    """Counts for a tile of 4 rows and 16 columns, addresses given as integers.

    Numba cannot be made to keep an array of vectors in registers, so this loop is written in LLVM's
    language: for each word, broadcast it from each row, AND it with the panel's vectors, count the
    ones, add. LLVM turns it into the vector population count of the machine, if it has one.
    """
    signature = types.void(types.intp, types.intp, types.intp, types.intp, types.intp)

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        rows, row_words, panel, out, out_columns = arguments
        word, count = ir.IntType(64), ir.IntType(32)
        vector, counts = ir.VectorType(word, _LANES), ir.VectorType(count, _LANES)
        undefined = ir.Constant(vector, ir.Undefined)
        ones = cgutils.get_or_insert_function(
            build.module, ir.FunctionType(vector, [vector]), f"llvm.ctpop.v{_LANES}i64"
        )

        def address(base: Any, row: int, columns: Any, size: int, kind: Any) -> Any:
            offset = build.mul(columns, ir.Constant(word, row * size))
            return build.inttoptr(build.add(base, offset), kind.as_pointer())

        row_start = [address(rows, row, row_words, 8, word) for row in range(_ROWS)]
        panel_start = build.inttoptr(panel, word.as_pointer())
        before = build.block
        loop, after = build.append_basic_block("words"), build.append_basic_block("store")
        build.branch(loop)

        build.position_at_end(loop)
        index = build.phi(word)
        index.add_incoming(ir.Constant(word, 0), before)
        sums = [[build.phi(vector) for _ in range(_VECTORS)] for _ in range(_ROWS)]
        columns = []
        for number in range(_VECTORS):
            place = build.add(
                build.mul(index, ir.Constant(word, _COLUMNS)), ir.Constant(word, number * _LANES)
            )
            pointer = build.bitcast(build.gep(panel_start, [place]), vector.as_pointer())
            columns.append(build.load(pointer, align=8))
        totals = []
        for row in range(_ROWS):
            lone = build.load(build.gep(row_start[row], [index]))
            first = build.insert_element(undefined, lone, ir.Constant(count, 0))
            spread = build.shuffle_vector(first, undefined, ir.Constant(counts, None))
            totals.append(
                [
                    build.add(total, build.call(ones, [build.and_(spread, column)]))
                    for total, column in zip(sums[row], columns, strict=True)
                ]
            )
        following = build.add(index, ir.Constant(word, 1))
        index.add_incoming(following, loop)
        for row in range(_ROWS):
            for total, summed in zip(sums[row], totals[row], strict=True):
                total.add_incoming(ir.Constant(vector, None), before)
                total.add_incoming(summed, loop)
        build.cbranch(build.icmp_signed("<", following, row_words), loop, after)

        build.position_at_end(after)
        for row in range(_ROWS):
            start = address(out, row, out_columns, 4, count)
            for number in range(_VECTORS):
                pointer = build.gep(start, [ir.Constant(word, number * _LANES)])
                narrow = build.trunc(totals[row][number], counts)
                store = build.store(narrow, build.bitcast(pointer, counts.as_pointer()), align=32)
                # Past the caches: results are written once, and reading a line only to overwrite
                # it would cost as much memory traffic again.
                store.set_metadata("nontemporal", build.module.add_metadata([count(1)]))
        return context.get_dummy_value()

    return signature, emit


@njit(nogil=True, cache=True)
def _count_rows(rows: np.ndarray, panels: np.ndarray, out: np.ndarray) -> None:
    words, columns = rows.shape[1], out.shape[1]
    row_start, panel_start, out_start = rows.ctypes.data, panels.ctypes.data, out.ctypes.data
    for block in range(0, rows.shape[0], _BLOCK):
        for panel in range(panels.shape[0]):
            for row in range(block, min(block + _BLOCK, rows.shape[0]), _ROWS):
                _count_tile(  # type: ignore[call-arg]
                    row_start + row * words * 8,
                    words,
                    panel_start + panel * words * _COLUMNS * 8,
                    out_start + (row * columns + panel * _COLUMNS) * 4,
                    columns,
                )


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
    rows = _pad(rows, _ROWS)
    columns = _pad(columns, _COLUMNS)
    panels = np.ascontiguousarray(columns.reshape(-1, _COLUMNS, words).transpose(0, 2, 1))
    out = _aligned(len(rows), len(columns))
    threads = threads or len(os.sched_getaffinity(0))
    share = -(-len(rows) // (threads * _ROWS)) * _ROWS
    parts = [slice(start, start + share) for start in range(0, len(rows), share)]
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: _count_rows(rows[part], panels, out[part]), parts))
    return out[:num_rows, :num_columns]


def _aligned(rows: int, columns: int) -> np.ndarray:
    """Uninitialized int32 `[rows, columns]` that starts at a cache line."""
    buffer = np.empty(rows * columns + _COLUMNS, np.int32)
    start = -buffer.ctypes.data % 64 // 4
    return buffer[start : start + rows * columns].reshape(rows, columns)


def _pad(bits: np.ndarray, multiple: int) -> np.ndarray:
    missing = -len(bits) % multiple
    return np.ascontiguousarray(np.pad(bits, ((0, missing), (0, 0))), np.uint64)


@njit(nogil=True, cache=True)
def transpose_bits(packed: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Turns bits packed along examples into bits packed along trials.

    Args:
      packed: uint8 `[trials, bytes]`, bit `i % 8` of byte `i // 8` for example `i`.
      columns: int64 `[count]`, which examples to take, in which order.

    Returns:
      uint64 `[count, ceil(trials / 64)]`; bits beyond the last trial are 0.
    """
    trials = packed.shape[0]
    out = np.zeros((len(columns), (trials + 63) // 64), np.uint64)
    for word in range(out.shape[1]):
        first = word * 64
        for place in range(len(columns)):
            byte, bit = columns[place] >> 3, columns[place] & 7
            bits = np.uint64(0)
            for trial in range(first, min(first + 64, trials)):
                one = np.uint64((packed[trial, byte] >> bit) & 1)
                bits |= one << np.uint64(trial - first)
            out[place, word] = bits
    return out


def ones(bits: np.ndarray) -> np.ndarray:
    """How many bits are set in each row of uint64 `[rows, words]`: int64 `[rows]`."""
    return np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
