"""Counts tiles of 4 rows and 16 columns at a time: the loops that everything here waits for.

Counting takes one vector population count (`vpopcntq`) for 512 bits, and runs at the machine's
limit only if the sums of a tile stay in registers. Numba has no vectors, and of a loop over numbers
it makes some along the words alone, so that each sum has to be gathered in the end. Hence a type
for a vector and the few operations that counting needs, each an instruction or two of LLVM. Bit
products a second of one core (EPYC 9004, 4,000 trials, 2,000 rows and columns), in 10^12:

    loop                                       AVX-512   AVX2   below
    the one below                                 1.17   0.33    0.11
    the same in C, with the intrinsics of gcc     1.17
    numbers in place of vectors                   0.56   0.32    0.11

C would be no faster, and needs a compiler or a wheel for every platform, and on workers of Beam.
LLVM makes what the machine has of vectors that it does not have: there is one path for all.

What may break: `numba.extending` and `llvmlite.ir` can change with their versions. `pyproject.toml`
therefore bounds numba: `make test` runs on the last version, and `make test-numba` on the first.

Numba's cache asks only whether the file of the function that is called has changed, and not those
of what that calls. So whatever is compiled with the operations is in this file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models, register_model

from tfmem.estimation.compiling import compiled

LANES = 8  # 64-bit words in a vector
ROWS = 4  # a tile's sums, 4 rows of 2 vectors, stay in registers
COLUMNS = 2 * LANES
_BLOCK = 64  # rows that pass over one panel of columns while it is in cache

_WORD, _COUNT, _REAL = ir.IntType(64), ir.IntType(32), ir.DoubleType()
_WORDS, _COUNTS, _REALS = (ir.VectorType(kind, LANES) for kind in (_WORD, _COUNT, _REAL))
_LINE = ir.VectorType(_COUNT, COLUMNS)


class _Words(types.Type):
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__("words")


@register_model(_Words)
class _InRegisters(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _WORDS)


_words = _Words()
_operation: Callable[[Callable[..., Any]], Callable[..., Any]] = intrinsic


@_operation
def zeros(context):  # type: ignore[no-untyped-def]
    """A vector of zeros."""
    return _words(), lambda context, build, signature, arguments: ir.Constant(_WORDS, None)


@_operation
def load_words(context, address):  # type: ignore[no-untyped-def]
    """The eight words at an address."""

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        return build.load(_at(build, arguments[0], _WORDS), align=8)

    return _words(types.intp), emit


@_operation
def spread(context, address):  # type: ignore[no-untyped-def]
    """The word at an address, eight times."""

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        return _spread(build, build.load(_at(build, arguments[0], _WORD)), _WORDS)

    return _words(types.intp), emit


@_operation
def add_shared(context, total, left, right):  # type: ignore[no-untyped-def]
    """`total`, and how many ones the words of `left` and `right` share."""

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        total, left, right = arguments
        kind = ir.FunctionType(_WORDS, [_WORDS])
        ones = build.module.declare_intrinsic(f"llvm.ctpop.v{LANES}i64", fnty=kind)
        return build.add(total, build.call(ones, [build.and_(left, right)]))

    return _words(_words, _words, _words), emit


@_operation
def outside(context, counts, limits, value):  # type: ignore[no-untyped-def]
    """Not 0 if one of eight counts is outside its bounds, whose addresses begin at `limits`.

    See `search_rows`; `value` is that of the row.
    """

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        counts, limits, value = arguments
        base, slope, width = (
            build.load(_at(build, build.add(limits, _WORD(part * COLUMNS * 8)), _REALS), align=8)
            for part in range(3)
        )
        count = build.sitofp(counts, _REALS)
        upper = build.fadd(base, build.fmul(slope, _spread(build, value, _REALS)))
        lower = build.fsub(upper, width)
        flags = build.or_(
            build.fcmp_ordered(">=", count, upper), build.fcmp_ordered("<=", count, lower)
        )
        return build.zext(build.bitcast(flags, ir.IntType(LANES)), _WORD)

    return types.intp(_words, types.intp, types.float64), emit


@_operation
def store(context, left, right, address):  # type: ignore[no-untyped-def]
    """Writes the counts of two vectors as int32 `[16]`."""

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        _store(build, arguments, align=4)
        return context.get_dummy_value()

    return types.void(_words, _words, types.intp), emit


@_operation
def store_past_caches(context, left, right, address):  # type: ignore[no-untyped-def]
    """As `store`, to the address of a cache line, which is not read before it is overwritten.

    Results are written once, and reading them before would cost as much memory traffic again.
    """

    def emit(context: Any, build: Any, signature: Any, arguments: Any) -> Any:
        stored = _store(build, arguments, align=64)
        stored.set_metadata("nontemporal", build.module.add_metadata([_COUNT(1)]))
        return context.get_dummy_value()

    return types.void(_words, _words, types.intp), emit


def _store(build: Any, arguments: Any, align: int) -> Any:
    # As one line: LLVM narrows and writes a vector alone in one instruction, through the caches.
    left, right, address = arguments
    halves = build.trunc(left, _COUNTS), build.trunc(right, _COUNTS)
    line = build.shuffle_vector(*halves, ir.Constant(_LINE, [*range(COLUMNS)]))
    return build.store(line, _at(build, address, _LINE), align=align)


def _at(build: Any, address: Any, kind: Any) -> Any:
    return build.inttoptr(address, kind.as_pointer())


def _spread(build: Any, number: Any, kind: Any) -> Any:
    first = build.insert_element(ir.Constant(kind, ir.Undefined), number, _COUNT(0))
    return build.shuffle_vector(first, first, ir.Constant(_COUNTS, None))


@njit(forceinline=True, error_model="numpy")
def _sums(row, words, panel):  # type: ignore[no-untyped-def]
    """Counts of a tile, two vectors for each row, from the addresses of its rows and panel."""
    second, third, fourth = row + words * 8, row + words * 16, row + words * 24
    a0 = a1 = b0 = b1 = c0 = c1 = d0 = d1 = zeros()
    for word in range(words):
        at = word * 8
        left, right = load_words(panel + at * COLUMNS), load_words(panel + at * COLUMNS + LANES * 8)
        a, b, c, d = spread(row + at), spread(second + at), spread(third + at), spread(fourth + at)
        a0, a1 = add_shared(a0, a, left), add_shared(a1, a, right)
        b0, b1 = add_shared(b0, b, left), add_shared(b1, b, right)
        c0, c1 = add_shared(c0, c, left), add_shared(c1, c, right)
        d0, d1 = add_shared(d0, d, left), add_shared(d1, d, right)
    return (a0, a1), (b0, b1), (c0, c1), (d0, d1)


@compiled
def count_rows(rows: np.ndarray, panels: np.ndarray, out: np.ndarray) -> None:
    """Counts of rows and panels.

    Args:
      rows: uint64 `[rows, words]`, a multiple of 4 rows.
      panels: uint64 `[panels, words, 16]`, see `as_panels`.
      out: int32 `[rows, panels * 16]` that begins at a cache line; see `aligned`.
    """
    words, width = rows.shape[1], out.shape[1] * 4
    row_start, panel_start, out_start = rows.ctypes.data, panels.ctypes.data, out.ctypes.data
    for block in range(0, rows.shape[0], _BLOCK):
        for panel in range(panels.shape[0]):
            for row in range(block, min(block + _BLOCK, rows.shape[0]), ROWS):
                place = out_start + row * width + panel * COLUMNS * 4
                sums = _sums(
                    row_start + row * words * 8, words, panel_start + panel * words * COLUMNS * 8
                )
                for left, right in sums:
                    store_past_caches(left, right, place)
                    place += width


@compiled
def search_rows(
    rows: np.ndarray,
    values: np.ndarray,
    num_rows: int,
    panels: np.ndarray,
    bounds: np.ndarray,
    found: np.ndarray,
) -> int:
    """Finds the pairs whose counts are beyond their bounds.

    Args:
      rows: uint64 `[rows, words]`, a multiple of 4 rows.
      values: float64 `[rows]`, a value for each row.
      num_rows: how many of the rows are searched.
      panels: uint64 `[panels, words, 16]`, see `as_panels`.
      bounds: float64 `[panels, 3, 16]`. The upper bound of a count in a row and column `j` of panel
        `p` is `bounds[p, 0, j] + bounds[p, 1, j] * value`; the lower one is less by
        `bounds[p, 2, j]`.
      found: receives row, column and count of pairs that are at their bounds or beyond; int32
        `[room, 3]`.

    Returns:
      How many such pairs there are; if there is no room for them, that there are more than that.
    """
    words, count = rows.shape[1], 0
    base, slope, width = bounds[:, 0], bounds[:, 1], bounds[:, 2]
    counts = np.empty((ROWS, COLUMNS), np.int32)
    row_start, panel_start, place = rows.ctypes.data, panels.ctypes.data, counts.ctypes.data
    for block in range(0, rows.shape[0], _BLOCK):
        for panel in range(panels.shape[0]):
            limits = bounds.ctypes.data + panel * 3 * COLUMNS * 8
            for row in range(block, min(block + _BLOCK, rows.shape[0]), ROWS):
                sums = _sums(
                    row_start + row * words * 8, words, panel_start + panel * words * COLUMNS * 8
                )
                beyond, own = 0, row
                for left, right in sums:
                    beyond |= outside(left, limits, values[own])
                    beyond |= outside(right, limits + LANES * 8, values[own])
                    own += 1
                if beyond == 0:
                    continue
                at = place
                for left, right in sums:
                    store(left, right, at)
                    at += COLUMNS * 4
                for i in range(min(ROWS, num_rows - row)):
                    for j in range(COLUMNS):
                        upper = base[panel, j] + slope[panel, j] * values[row + i]
                        both = counts[i, j]
                        if both >= upper or both <= upper - width[panel, j]:
                            if count < found.shape[0]:
                                found[count, 0] = row + i
                                found[count, 1] = panel * COLUMNS + j
                                found[count, 2] = both
                            count += 1
        if count > found.shape[0]:
            break
    return count


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
