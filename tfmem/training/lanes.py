"""Work that is done side by side, each lane with a trainer of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Lane = TypeVar("Lane")
Job = TypeVar("Job")
_STOP_SECONDS = 20.0  # to come to the end of an epoch; Slurm and Kubernetes give 30 in all


def work_in_lanes(
    lanes: Sequence[Lane],
    jobs: Iterator[Job],
    work: Callable[[Job, Lane], None],
    stop: threading.Event,
) -> None:
    """Does all jobs, each in the first lane that is free.

    Args:
      lanes: what jobs are done with; each has a thread.
      jobs: drawn one at a time.
      work: does one.
      stop: is set, and no further job begun, when one fails or the program is interrupted.

    Raises:
      The first exception of a job, when all lanes have ended; or `KeyboardInterrupt`, when they
      have or have had the time for it.
    """
    drawing = threading.Lock()
    failures: list[BaseException] = []

    def run(lane: Lane, ended: threading.Event) -> None:
        try:
            while not stop.is_set():
                with drawing:
                    job = next(jobs, None)
                if job is None:
                    return
                work(job, lane)
        except BaseException as error:  # raised again below, in the main thread
            failures.append(error)
            stop.set()
        finally:
            ended.set()

    # Events, because Python takes a thread for ended when waiting for it is interrupted.
    ends = [threading.Event() for _ in lanes]
    for lane, ended in zip(lanes, ends, strict=True):
        threading.Thread(target=run, args=(lane, ended), daemon=True).start()
    try:
        for ended in ends:
            while not ended.wait(0.2):
                pass
    except KeyboardInterrupt:
        stop.set()
        limit = time.monotonic() + _STOP_SECONDS
        for ended in ends:
            ended.wait(max(0.0, limit - time.monotonic()))
        raise
    if failures:
        raise failures[0]
