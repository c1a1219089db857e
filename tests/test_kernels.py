"""The compiled loops: what they count, on every kind of processor, and their machine code.

`make test-numba` runs this file alone on the oldest supported version of numba.
"""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit

from tfmem.estimation import tiles
from tfmem.estimation.compiling import compiled
from tfmem.estimation.dense import DenseInfluence
from tfmem.estimation.kernels import co_occurrence, ones, transpose_bits
from tfmem.estimation.search import Search

X86 = platform.machine().lower() in ("x86_64", "amd64")
FEATURES = llvm.get_host_cpu_features()
# A processor without vectors of 512 bits, which this machine can imitate.
LESSER = "haswell" if FEATURES.get("avx2") else "x86-64" if X86 else "generic"


def packed(bits):
    return transpose_bits(np.packbits(bits, axis=1, bitorder="little"), bits.shape[1])


def check(trials, rows, columns):
    """Compares all loops with sums over trials."""
    rng = np.random.default_rng(trials)
    left, right = rng.random((trials, rows)) < 0.7, rng.random((trials, columns)) < 0.6
    both = left.T.astype(np.int64) @ right
    bits = packed(left), packed(right)
    np.testing.assert_array_equal(co_occurrence(*bits, threads=2), both)

    out = trials - left.sum(axis=0)
    with np.errstate(all="ignore"):
        held = (right.sum(axis=0) - both) / out[:, None]
        expected = both / left.sum(axis=0)[:, None] - held
    np.testing.assert_allclose(DenseInfluence(bits[1], trials)(bits[0]), expected, atol=1e-6)

    covariance = trials * both - left.sum(axis=0)[:, None] * right.sum(axis=0)
    low, high = np.quantile(covariance, [0.05, 0.9]).round() + 0.5
    found = Search(bits[1], trials, 2 * rows * columns, threads=2)(
        bits[0], ones(bits[0]), np.full(columns, low), np.full(columns, high)
    )
    beyond = (covariance <= low) | (covariance >= high)
    np.testing.assert_array_equal(np.transpose([found.row, found.column]), np.argwhere(beyond))
    np.testing.assert_array_equal(found.both, both[beyond])


def check_odd_sizes():
    """Sizes at the edges of words, tiles, panels and blocks."""
    for trials in (1, 63, 64, 65, 129):
        for rows, columns in ((1, 1), (4, 16), (5, 17), (67, 33)):
            check(trials, rows, columns)


def test_loops_equal_sums_over_trials():
    check_odd_sizes()


def test_loops_equal_sums_over_trials_on_a_lesser_processor(tmp_path):
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": LESSER,
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    code = "from tests.test_kernels import check_odd_sizes as check; check()"
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], cwd=root, env=environment, check=True)


def test_counting_uses_the_vectors_of_this_processor_and_keeps_its_sums_in_registers():
    count = njit(nogil=True)(tiles.count_rows.py_func)
    count(np.zeros((4, 3), np.uint64), np.zeros((1, 3, 16), np.uint64), tiles.aligned(4, 16))
    (assembly,) = count.inspect_asm().values()
    if FEATURES.get("avx512vpopcntdq"):
        assert len(re.findall(r"vpopcntq\s+%zmm", assembly)) >= 8  # 4 rows of 2 vectors
        assert not re.search(r"%zmm\d+, -?\d*\(%[sb]p\)|\(%rsp\), %zmm", assembly)
        assert re.search(r"vmovnt\w+\s+%zmm", assembly)
    elif FEATURES.get("avx2"):
        assert re.search(r"vpshufb\s+%ymm", assembly)
    elif not X86:
        assert re.search(r"\bcnt[\s.]", assembly)
    else:
        assert "popcnt" in assembly or "pshufb" in assembly or "psadbw" in assembly


def test_without_a_place_for_its_cache_a_function_is_compiled_all_the_same():
    of_no_file = eval("lambda x: x + 1")
    with pytest.raises(RuntimeError, match="cannot cache"):
        njit(cache=True)(of_no_file)
    assert compiled(of_no_file)(1) == 2
