"""Measures tfmem beside a script that an expert would write in JAX: CPU and wall seconds a trial.

    python -m benchmarks.peers digits

Each side is a process of its own, and they take turns. `start-up` is the time of a process until
its programs are compiled and the first stacks are trained, less those stacks' own time. A trial
includes predictions of all examples; files are not written.
"""

import argparse
import multiprocessing
import os
import time

import numpy as np

from benchmarks.measured import Column, Record, recording
from benchmarks.peers.sides import start, turn

TRIALS = 2000  # of the whole processes
_COLUMNS = (
    Column("task"),
    Column("trained by"),
    Column("CPU time a trial", "ms", 1),
    Column("ratio to the script"),
    Column("wall time a trial", "ms", 1),
    Column("start-up", "s", 1),
    Column("2,000 trials", "s", 0),
)


def _process(side):
    """Returns a pool of one process, in which Keras has the backend that a side names."""
    os.environ.pop("KERAS_BACKEND", None)
    if side == "tfmem on JAX":
        os.environ["KERAS_BACKEND"] = "jax"
    return multiprocessing.get_context("spawn").Pool(1)


def compare(task, backends, turns):
    """Prints what a trial takes on every side, and the median of the ratios to the script's.

    Returns:
      A row for each side, in the order of `_COLUMNS`.
    """
    sides = ["script in JAX", *(f"tfmem on {backend}" for backend in backends)]
    pools, begun, times = {}, {}, {side: [] for side in sides}
    for side in sides:
        began = time.time()
        pools[side] = _process(side)
        begun[side] = pools[side].apply(start, (side, task, began))
    for number in range(1, turns + 1):
        for side in sides:
            seconds, trials = pools[side].apply(turn, (task, number))
            times[side].append(seconds / trials)
            if number == 1:
                begun[side] = begun[side] - seconds
    script = np.array(times[sides[0]])
    print(f"{task}: CPU and wall seconds of a trial, of start-up, and of {TRIALS:,} trials")
    rows = []
    for side in sides:
        pools[side].terminate()
        each, (cpu, wall) = np.array(times[side]), begun[side]
        trial = np.median(each, axis=0)
        ratios = np.median(each / script, axis=0)
        print(
            f"  {side}: {trial[0]:.4f} and {trial[1]:.4f}, {cpu:.1f} and {wall:.1f}, "
            f"{cpu + TRIALS * trial[0]:.0f} and {wall + TRIALS * trial[1]:.0f}; "
            f"ratios of a trial {ratios[0]:.2f} and {ratios[1]:.2f}",
            flush=True,
        )
        whole = wall + TRIALS * trial[1]
        rows.append(
            [task, side, 1e3 * trial[0], f"{ratios[0]:.2f}", 1e3 * trial[1], float(wall), whole]
        )
    return rows


def main():
    """Compares the sides on the tasks that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("tasks", nargs="+", choices=("digits", "cancer", "transformer"))
    parser.add_argument("--data", help="folder with sst2, for the transformer")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument(
        "--backends", nargs="+", choices=("TensorFlow", "JAX"), default=["TensorFlow"]
    )
    recording(parser)
    arguments, rows = parser.parse_args(), []
    os.environ["DATA"] = arguments.data or ""
    for task in arguments.tasks:
        if task == "transformer" and not arguments.data:
            print("transformer: skipped, give the folder of sst2 with --data")
        else:
            rows += compare(task, arguments.backends, arguments.turns)
    if arguments.record:
        record = Record("peers", settings={"turns": arguments.turns, "trials": TRIALS})
        record.table("sides", _COLUMNS, rows)
        record.write()


if __name__ == "__main__":
    main()
