"""Measures the wall time and peak memory of `tfmem run configs/digits.yaml`, a whole process."""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tfmem
from benchmarks.measured import Record, quantity, recording


def main():
    """Prints seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    recording(parser)
    arguments = parser.parse_args()
    program = Path(sys.executable).with_name("tfmem")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [program, "run", "configs/digits.yaml", "--out", Path(folder) / "digits"], check=True
        )
        took = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        page = (Path(folder) / "digits" / "report.html").stat().st_size / 2**20
        run = tfmem.load_run(Path(folder) / "digits")
        accuracy, pairs = run.trials["test_accuracy"], len(run.pairs)
        memorized = int(run.memorized.sum())
    peak = used.ru_maxrss / 1024
    print(f"tfmem run configs/digits.yaml: {took:.0f} s, peak memory {peak:.0f} MB")
    if arguments.record:
        values = {
            "time": quantity(took, unit="s"),
            "processor time": quantity(used.ru_utime + used.ru_stime, unit="s"),
            "memory": quantity(peak / 1024, unit="GB"),
            "size of the page": quantity(page, unit="MB"),
            "models": len(accuracy),
            "test accuracy (SD)": quantity(
                100 * accuracy.mean(), error=100 * accuracy.std(), unit="%"
            ),
            "memorized examples": memorized,
            "pairs": pairs,
        }
        Record("digits", values=values).write()


if __name__ == "__main__":
    main()
