"""Keeps what commands of tfmem say, for the pages that quote them.

    python -m benchmarks.said training/power --record

conducts the commands of one file in `docs/measured`, in folders below `--out`, and keeps the lines
that they print. What is complete in these folders is not made again; `--data` has the data sets.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.measured import Record, choosing, quantity, recording, spent

_NOISE = "--set dataset.label_noise=0.1"
_SENTENCES = "--set training.trials=2000 --set dataset.data_dir=data/sst2"
COMMANDS = {
    "audit": (
        "tfmem audit digits_audit --out runs/digits_audit",
        f"tfmem audit digits_audit --out runs/digits_noise {_NOISE}",
        f"tfmem audit digits_audit --out runs/digits_early {_NOISE} --set training.epochs=20",
    ),
    "data/features": (
        "tfmem features cifar100_ten_classes --file runs/features.npz "
        "--set dataset.data_dir=data/cifar-100-binary",
        "tfmem experiment removal cifar10_features_mlp --out runs/features_mlp "
        "--set dataset.data_dir=runs/features.npz",
    ),
    "estimates/comparison": (
        "tfmem compare digits digits_cnn --out runs/comparison --set training.trials=200",
    ),
    "estimates/consistency": (
        "tfmem run digits --out runs/digits-512 --set training.trials=512",
        "tfmem consistency runs/digits-512",
        "tfmem run digits --out runs/digits-2000 --set training.trials=2000",
        "tfmem consistency runs/digits-2000",
        "tfmem run digits --out runs/digits-1 --set training.trials=2000 --set seed=1",
        "tfmem consistency runs/digits-2000 runs/digits-1",
    ),
    "estimates/duplicates": (
        "tfmem duplicates cifar100_fast --file runs/cifar100.csv "
        "--set dataset.data_dir=data/cifar-100-binary",
        "tfmem duplicates mnist_demo --file runs/mnist.csv --threshold 0.99 "
        "--set dataset.data_dir=data/mnist",
    ),
    "estimates/groups": (
        "tfmem duplicates digits --file runs/like.csv",
        "tfmem run digits --out runs/digits-600 --set training.trials=600",
        "tfmem groups runs/digits-600 --groups runs/like.csv",
        "tfmem run digits --out runs/like --set training.trials=600 "
        "--set training.groups=runs/like.csv",
        "tfmem groups runs/like",
    ),
    "self-influence/digits": (
        "tfmem run digits --out runs/digits-2000 --set training.trials=2000",
        "tfmem self-influence digits --out runs/digits-2000",
        "tfmem consistency runs/digits-2000/memorization "
        "runs/digits-2000/self_influence/fast --out runs/estimators",
        f"tfmem audit digits_audit --out runs/audit_one {_NOISE} "
        "--set experiments.estimator=self_influence --set selection.memorization=0.02 "
        "--set selection.influence=0.02",
        "tfmem attribute digits --out runs/digits-2000 --patch 2 --share 0.005",
        "tfmem attribute digits --out runs/digits-2000 --patch 2 --share 0.005 "
        "--set self_influence.layers=[logits]",
    ),
    "self-influence/sst2_head": (
        f"tfmem self-influence sst2_head --out runs/sst2_head-2000 {_SENTENCES} --pairs "
        "--set selection.memorization=0.03 --set selection.influence=0.01",
        f"tfmem attribute sst2_head --out runs/sst2_head-2000 {_SENTENCES} --share 0.015",
        f"tfmem run sst2_head --out runs/sst2_head-2000 {_SENTENCES} "
        "--set selection.memorization=0.1 --set selection.fdr=0.05",
    ),
    "training/jax": (
        "tfmem run digits --out runs/tensorflow --set training.trials=500",
        "tfmem run digits --out runs/jax --set training.trials=500 --set training.backend=jax",
        "tfmem consistency runs/tensorflow runs/jax",
    ),
    "training/planning": (
        "tfmem plan digits --time-trials 100 --set training.trials=500",
        "tfmem run digits --out runs/planned --set training.trials=500",
    ),
    "training/power": (
        "tfmem plan imagenet_resnet50 --sizes 1281167,50000,1000 --pairs all --trial-hours 50 "
        "--machines 64",
    ),
}


def conduct(line: str, out: Path, data: Path | None = None) -> list[str]:
    """Runs a command, whose runs and data are below two folders, and returns what it prints."""
    for name, place in (("runs", out), ("data", data)):
        if place is not None:
            line = re.sub(rf"(?<=[ =]){name}/", f"{place.as_posix()}/", line)
    words = shlex.split(line)
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run([program, *words[1:]], check=True, stdout=subprocess.PIPE, text=True)
    return [each.replace(f"{out}/", "runs/") for each in done.stdout.splitlines() if each.strip()]


def main() -> None:
    """Runs the commands of the files that are named, and prints or records what they say."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choosing(parser, "names", COMMANDS)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--data", type=Path, help="folder with cifar-100-binary, mnist and sst2")
    recording(parser)
    arguments = parser.parse_args()
    for name in arguments.names or COMMANDS:
        record = Record(name)
        for line in COMMANDS[name]:
            clock, busy = time.perf_counter(), spent()["CPU"]
            said = conduct(line, arguments.out, arguments.data)
            print("\n".join([line, *said]), flush=True)
            record.values[line] = said
            took = quantity(time.perf_counter() - clock, unit="s")
            record.values[f"{line}: time, processor time"] = [
                took,
                quantity(spent()["CPU"] - busy, unit="s"),
            ]
        if arguments.record:
            record.write(commands=COMMANDS[name])


if __name__ == "__main__":
    main()
