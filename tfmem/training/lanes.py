"""Work that is done side by side, each lane with a trainer of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Lane = TypeVar("Lane")
Job = TypeVar("Job")


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
      The first exception of a job, when all lanes have ended.
    """
    drawing = threading.Lock()
    failures: list[BaseException] = []

    def run(lane: Lane) -> None:
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

    threads = [threading.Thread(target=run, args=(lane,), daemon=True) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)
    except KeyboardInterrupt:
        stop.set()
        raise
    if failures:
        raise failures[0]
