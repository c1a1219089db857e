"""Measures the wall time and peak memory of `tfmem run configs/digits.yaml`, a whole process."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main():
    """Prints seconds and megabytes."""
    program = Path(sys.executable).with_name("tfmem")
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        subprocess.run(
            [program, "run", "configs/digits.yaml", "--out", Path(folder) / "digits"], check=True
        )
        took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"tfmem run configs/digits.yaml: {took:.0f} s, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
