"""Measures what a computation costs: time, and memory."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

_PAUSE = 0.02  # seconds between two looks at the memory


@dataclass
class Measured:
    """The cost of a computation, known when it has ended.

    Attributes:
      seconds: elapsed seconds.
      cpu_seconds: processor seconds of all cores.
      memory: bytes by which the memory of this process grew at most.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    memory: int = 0


@contextmanager
def measured() -> Iterator[Measured]:
    """Measures what is computed within it; memory is looked at every 20 ms."""
    found, process, ended = Measured(), psutil.Process(), threading.Event()
    before = process.memory_info().rss

    def look() -> None:
        while True:
            found.memory = max(found.memory, process.memory_info().rss - before)
            if ended.wait(_PAUSE):
                return

    watching = threading.Thread(target=look, daemon=True)
    clock, work = time.perf_counter(), time.process_time()
    watching.start()
    try:
        yield found
    finally:
        ended.set()
        watching.join()
        found.seconds = time.perf_counter() - clock
        found.cpu_seconds = time.process_time() - work
