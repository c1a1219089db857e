"""The inner loop of counting, in LLVM's language, for 4 rows and 16 columns at a time.

Numba cannot be made to keep an array of vectors in registers. For each word the loop broadcasts it
from each row, ANDs it with the panel's vectors, counts the ones and adds. LLVM turns it into the
vector population count of the machine, if it has one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES = 8  # 64-bit words in a vector
ROWS, VECTORS = 4, 2  # a tile's accumulators: 4 rows of 2 vectors stay in registers
COLUMNS = LANES * VECTORS

_WORD, _COUNT, _REAL = ir.IntType(64), ir.IntType(32), ir.DoubleType()
_WORDS, _COUNTS, _REALS = (ir.VectorType(kind, LANES) for kind in (_WORD, _COUNT, _REAL))


@intrinsic
def count_tile(  # type: ignore[no-untyped-def]
    context, rows, row_words, panel, out, out_columns
):
    """Counts of a tile, written to int32 `out` past the caches; addresses are integers.

    Results are written once, and reading a line only to overwrite it would cost as much memory
    traffic again. `out` is aligned to 32 bytes.
    """
    signature = types.void(*[types.intp] * 5)

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        rows, row_words, panel, out, out_columns = arguments
        totals = _count(build, rows, row_words, panel)
        for row in range(ROWS):
            start = _address(build, out, row, out_columns, 4, _COUNT)
            for number in range(VECTORS):
                store = _store(build, totals[row][number], start, number)
                store.align = 32
                store.set_metadata("nontemporal", build.module.add_metadata([_COUNT(1)]))
        return context.get_dummy_value()

    return signature, emit


@intrinsic
def search_tile(  # type: ignore[no-untyped-def]
    context, rows, row_words, panel, row_values, columns, out
):
    """Counts of a tile, int32 `[4, 16]`, and whether any is beyond its bounds (not 0 if so).

    Args (addresses, as integers):
      row_values: float64 `[4]`, a value for each row.
      columns: float64 `[3, 16]`: the upper bound of a count in row `r` and column `j` is
        `columns[0, j] + columns[1, j] * row_values[r]`; the lower one is less by `columns[2, j]`.
      out: receives the counts.
    """
    signature = types.intp(*[types.intp] * 6)

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        rows, row_words, panel, row_values, columns, out = arguments
        totals = _count(build, rows, row_words, panel)
        base, slope, width = (
            [_load(build, columns, _REALS, part * VECTORS + number) for number in range(VECTORS)]
            for part in range(3)
        )
        flags = ir.Constant(ir.VectorType(ir.IntType(1), LANES), None)
        results = build.inttoptr(out, _COUNT.as_pointer())
        values = build.inttoptr(row_values, _REAL.as_pointer())
        for row in range(ROWS):
            value = _spread(build, build.load(build.gep(values, [_WORD(row)])), _REALS)
            for number in range(VECTORS):
                place = row * VECTORS + number
                _store(build, totals[row][number], results, place)
                count = build.sitofp(totals[row][number], _REALS)
                upper = build.fadd(build.fmul(slope[number], value), base[number])
                lower = build.fsub(upper, width[number])
                flags = build.or_(flags, build.fcmp_ordered(">=", count, upper))
                flags = build.or_(flags, build.fcmp_ordered("<=", count, lower))
        return build.zext(build.bitcast(flags, ir.IntType(LANES)), _WORD)

    return signature, emit


def _count(build: Any, rows: Any, row_words: Any, panel: Any) -> list[list[Any]]:
    """Emits the loop over words; one vector of 64-bit counts for each row and vector of columns."""
    ones = cgutils.get_or_insert_function(
        build.module, ir.FunctionType(_WORDS, [_WORDS]), f"llvm.ctpop.v{LANES}i64"
    )
    row_start = [_address(build, rows, row, row_words, 8, _WORD) for row in range(ROWS)]
    panel_start = build.inttoptr(panel, _WORD.as_pointer())
    before = build.block
    loop, after = build.append_basic_block("words"), build.append_basic_block("counted")
    build.branch(loop)

    build.position_at_end(loop)
    index = build.phi(_WORD)
    index.add_incoming(_WORD(0), before)
    sums = [[build.phi(_WORDS) for _ in range(VECTORS)] for _ in range(ROWS)]
    columns = []
    for number in range(VECTORS):
        place = build.add(build.mul(index, _WORD(COLUMNS)), _WORD(number * LANES))
        pointer = build.bitcast(build.gep(panel_start, [place]), _WORDS.as_pointer())
        columns.append(build.load(pointer, align=8))
    totals = []
    for row in range(ROWS):
        spread = _spread(build, build.load(build.gep(row_start[row], [index])), _WORDS)
        totals.append(
            [
                build.add(total, build.call(ones, [build.and_(spread, column)]))
                for total, column in zip(sums[row], columns, strict=True)
            ]
        )
    following = build.add(index, _WORD(1))
    index.add_incoming(following, loop)
    for row in range(ROWS):
        for total, summed in zip(sums[row], totals[row], strict=True):
            total.add_incoming(ir.Constant(_WORDS, None), before)
            total.add_incoming(summed, loop)
    build.cbranch(build.icmp_signed("<", following, row_words), loop, after)
    build.position_at_end(after)
    return totals


def _address(build: Any, base: Any, row: int, columns: Any, size: int, kind: Any) -> Any:
    offset = build.mul(columns, _WORD(row * size))
    return build.inttoptr(build.add(base, offset), kind.as_pointer())


def _spread(build: Any, lone: Any, vector: Any) -> Any:
    undefined = ir.Constant(vector, ir.Undefined)
    first = build.insert_element(undefined, lone, _COUNT(0))
    return build.shuffle_vector(first, undefined, ir.Constant(_COUNTS, None))


def _load(build: Any, base: Any, vector: Any, number: int) -> Any:
    pointer = build.inttoptr(build.add(base, _WORD(number * LANES * 8)), vector.as_pointer())
    return build.load(pointer, align=8)


def _store(build: Any, counts: Any, start: Any, number: int) -> Any:
    pointer = build.gep(start, [_WORD(number * LANES)])
    narrow = build.trunc(counts, _COUNTS)
    return build.store(narrow, build.bitcast(pointer, _COUNTS.as_pointer()), align=4)


def aligned(rows: int, columns: int) -> np.ndarray:
    """Uninitialized int32 `[rows, columns]` that starts at a cache line."""
    buffer = np.empty(rows * columns + COLUMNS, np.int32)
    start = -buffer.ctypes.data % 64 // 4
    return buffer[start : start + rows * columns].reshape(rows, columns)


def padded(bits: np.ndarray, multiple: int) -> np.ndarray:
    """Rows of zeros added, so that there is a multiple of so many."""
    missing = -len(bits) % multiple
    return np.ascontiguousarray(np.pad(bits, ((0, missing), (0, 0))), np.uint64)


def as_panels(columns: np.ndarray) -> np.ndarray:
    """Columns of a tile beside each other: uint64 `[panels, words, 16]` from `[columns, words]`."""
    columns = padded(columns, COLUMNS)
    shape = -1, COLUMNS, columns.shape[1]
    return np.ascontiguousarray(columns.reshape(shape).transpose(0, 2, 1))
