"""Does work in several lanes at the same time, each with a trainer of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Lane = TypeVar("Lane")
Job = TypeVar("Job")
_STOP_SECONDS = 20.0  # time to finish an epoch; Slurm and Kubernetes give 30 seconds in all


def work_in_lanes(
    lanes: Sequence[Lane],
    jobs: Iterator[Job],
    work: Callable[[Job, Lane], None],
    stop: threading.Event,
) -> None:
    """Does all jobs, each in the first lane that is free.

    Args:
      lanes: the lanes, such as trainers; each has a thread.
      jobs: the jobs, which are drawn one at a time.
      work: does one job in one lane.
      stop: is set when a job fails or the program is interrupted; then no further job begins.

    Raises:
      The first exception of a job, after all lanes have ended; or `KeyboardInterrupt`, after all
      lanes have ended or `_STOP_SECONDS` have passed.
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

    # Events are used because Python believes that a thread has ended when a join is interrupted.
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
