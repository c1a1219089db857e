"""Shares the work on test examples among threads."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_PARTS = 8  # for each thread, because test examples take different times


def in_threads(work: Callable[[slice], None], count: int) -> None:
    """Calls `work` with slices that divide `count` things, in one thread for each core.

    Args:
      work: writes results of its slice alone, and runs without the interpreter's lock.
      count: number of things.
    """
    threads = len(os.sched_getaffinity(0))
    size = max(1, -(-count // (threads * _PARTS)))
    parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, parts))
