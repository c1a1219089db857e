"""The benchmark for GPUs runs without TensorFlow, Beam and numba, at a toy size on a CPU."""

import json
import os
import subprocess
import sys

import pytest

PROGRAM = """
import runpy, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "apache_beam", "numba", "tensorflow_datasets"):
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
sys.argv = ["gpu", "--toy", "--json", sys.argv[1]]
runpy.run_module("benchmarks.gpu", run_name="__main__")
"""


@pytest.mark.slow
def test_it_measures_at_a_toy_size(tmp_path):
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, tmp_path / "gpu.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert [(row["network"], row["precision"], row["stack"]) for row in found["throughput"]] == [
        (network, precision, stack)
        for network in ("cifar100_fast", "cifar10_fast")
        for precision in ("mixed_bfloat16", "float32")
        for stack in (1, 2)
    ]
    assert all(row["images_a_second"] > 0 for row in found["throughput"])
    assert 0.9 < found["digits"]["test_accuracy"] < 1
    assert [row["network"] for row in found["trials"]] == ["cifar100_fast", "cifar10_fast"]
    assert all(row["hours"] > 0 for row in found["trials"])
