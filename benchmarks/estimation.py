"""Measures the time and memory of estimation at the sizes of the paper's data sets.

The predictions are made here. They are random except for some memorized examples and some pairs, so
that there is something to select. Each job is a process that reads and writes TFRecords.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.measured import (
    Column,
    Record,
    choosing,
    part_command,
    quantity,
    recording,
    seconds,
)
from tfmem.store.labels import Labels
from tfmem.store.predictions import TrialRecord
from tfmem.store.records import shard_name
from tfmem.store.shards import write_shard

SIZES = {  # trials, training examples, test examples, classes
    "digits": (500, 1437, 360, 10),
    "cifar": (4000, 50_000, 10_000, 100),
    "imagenet": (2000, 1_281_167, 50_000, 1000),
}
MEMORIZED = 0.3  # of the training examples (Feldman & Zhang 2020, Sec. 3.1, of ImageNet)
TRIALS_A_SHARD = 50
JOB = (
    Column("pairs that are searched"),
    Column("time", "s", 1),
    Column("processor time", "s", 0),
    Column("memory", "GB", 2),
)


def make(folder, trials, num_train, num_test, classes):
    """Writes predictions of the given size.

    Models predict a memorized example correctly if it is in their subset.
    """
    rng = np.random.default_rng(0)
    labels = Labels(
        np.arange(num_train) % classes,
        np.arange(num_test) % classes,
        tuple(map(str, range(classes))),
        b"f" * 32,
    )
    folder.mkdir(parents=True)
    (folder / "labels.npz").write_bytes(labels.to_npz())
    memorized = np.packbits(rng.random(num_train) < MEMORIZED)
    influenced = rng.integers(0, num_train // num_test, num_test // 50) * num_test
    influenced += np.arange(len(influenced)) * 50  # of the same class
    shards = trials // TRIALS_A_SHARD
    for shard in range(shards):
        records = []
        for trial in range(shard * TRIALS_A_SHARD, (shard + 1) * TRIALS_A_SHARD):
            mask = rng.random(num_train, np.float32) < 0.7
            bits = np.packbits(mask, bitorder="little")
            noise = rng.integers(0, 256, (2, len(bits)), np.uint8)
            correct = (bits & memorized) | (noise[0] | noise[1]) & ~memorized
            test = rng.random(num_test, np.float32) < 0.75
            sure = rng.random(len(influenced)) < 0.5
            test[np.arange(len(influenced)) * 50] = mask[influenced] & sure
            if num_train % 8:
                correct[-1] &= (1 << num_train % 8) - 1
            records.append(
                TrialRecord(
                    trial, 0, num_train, num_test, bits.tobytes(), b"f" * 32, b"c" * 32,
                    correct.tobytes(), np.packbits(test, bitorder="little").tobytes(),
                )
            )  # fmt: skip
        write_shard(folder / shard_name("predictions", shard, shards), records)


def settings_of(size):
    """The numbers of a size, by name."""
    names = "trials", "training examples", "test examples", "classes"
    return dict(zip(names, SIZES[size], strict=True)) | {"memorized, %": 100 * MEMORIZED}


def run(predictions, out, options):
    """Runs one job; returns wall seconds, peak memory in GB, CPU seconds, and what it printed."""
    code = "from tfmem.pipelines.cli import main; main()"
    command = [sys.executable, "-c", code, "estimate", f"{predictions}/*.tfrecord"]
    command += ["--labels", f"{predictions}/labels.npz", "--out", str(out), *options]
    watch = (
        "import json, resource, subprocess, sys, time; s = time.perf_counter();"
        "r = subprocess.run(sys.argv[1:], capture_output=True, text=True);"
        "u = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(json.dumps([time.perf_counter() - s, u.ru_maxrss / 2**20, u.ru_utime + u.ru_stime,"
        " r.returncode, r.stdout + r.stderr]))"
    )
    done = subprocess.run([sys.executable, "-c", watch, *command], capture_output=True, check=True)
    took, memory, busy, code, said = json.loads(done.stdout)
    if code:
        raise SystemExit(said)
    return took, memory, busy, said


def main():
    """Prints one line for each job; a size has a file of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    choosing(parser, "sizes", SIZES)
    parser.add_argument("--keep", type=Path, help="folder for the predictions, to use again")
    recording(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.sizes or SIZES:
            record = Record(f"estimation/{size}", settings=settings_of(size))
            predictions = (arguments.keep or Path(temporary)) / size
            if not predictions.exists():
                make(predictions, *SIZES[size])
            for title, options in {
                "of one class": [],
                "memorized examples with all tests": ["--pairs", "all"],
                "all": ["--pairs", "all", "--memorization", "-1"],
            }.items():
                out = Path(temporary) / "out"
                took, memory, busy, said = run(predictions, out, options)
                record.say(
                    f"{size}, pairs searched: {title}",
                    time=seconds(took),
                    processor_time=seconds(busy),
                    memory=quantity(memory, unit="GB"),
                )
                record.row("jobs", JOB, [title, took, busy, memory])
                print("  " + ", ".join(said.strip().splitlines()), flush=True)
            if arguments.record:
                record.write(part_command(size, len(arguments.sizes) == 1))


if __name__ == "__main__":
    main()
