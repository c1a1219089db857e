"""Judges attributions on ten classes of CIFAR-100, beside those of digits, for their page.

    python -m benchmarks.attribution_quality_cifar FOLDER --record

FOLDER holds the official binary files of CIFAR-100. A small convolutional network of one's own
(`benchmarks/pooled_convolution.py`) is trained 256 times on random subsets, 120 times for the
models that judge, and five times for attributions by gradients. What is complete in `--out` is not
made again.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

import tfmem
from benchmarks.experiments import PICTURES, keep_picture
from benchmarks.found import attribution_quality
from benchmarks.measured import Record, command, percent, recording, seconds
from benchmarks.peers.stacks import read_config
from tfmem.datasets import load

ROOT = Path(__file__).parents[1]
CONFIG = "cifar100_ten_classes"
SETTINGS = (
    "model={name: python, build: 'benchmarks/pooled_convolution.py:build'}",
    "training.trials=256",
    "training.epochs=12",
    "training.augmentation={}",
    "training.precision=float32",
    "training.weight_decay=0.0",
    "training.stack_size=1",
    "training.lanes=2",
    "self_influence.damping=0.05",
    "experiments.attribution_quality.subsets=40",
    "experiments.attribution_quality.repeats=3",
    "experiments.attribution_quality.trials=[64,128,256]",
    "experiments.attribution_quality.models=[1,5]",
)


def commands() -> list[list[str]]:
    """What trains the run, and what judges attributions, as one would type it."""
    options = [word for each in SETTINGS for word in ("--set", each)]
    options += ["--set", "dataset.data_dir=FOLDER"]
    out = ["--out", f"runs/{CONFIG}_quality"]
    return [
        ["tfmem", "train", CONFIG, *out, *options],
        ["tfmem", "experiment", "attribution-quality", CONFIG, *out, *options],
    ]


def conduct(out: Path, data: Path) -> None:
    """Carries out what is missing, and adds its processor time to that of earlier calls."""
    out.mkdir(parents=True, exist_ok=True)
    spent = out / "spent.json"
    for made in commands():
        words = [str(out / "run") if each.startswith("runs/") else each for each in made]
        words[-1] = f"dataset.data_dir={data}"
        program = Path(sys.executable).with_name(words[0])
        before = _processor()
        try:
            subprocess.run([program, *words[1:], "--quiet"], check=True, cwd=ROOT)
        finally:
            found = json.loads(spent.read_text()) if spent.exists() else {}
            found[made[1]] = found.get(made[1], 0.0) + _processor() - before
            spent.write_text(json.dumps(found))


def recorded(out: Path, data: Path) -> Record:
    """The score of each kind of attributions with its interval, what it cost, and the network."""
    record = Record("data-attribution/ten-classes")
    found = pd.read_csv(out / "run" / "experiments" / "attribution-quality" / "table.csv")
    attribution_quality(record, found)
    run = tfmem.load_run(out / "run")
    accuracy = run.trials[["subset_accuracy", "test_accuracy"]]
    spent = json.loads((out / "spent.json").read_text())
    record.values |= {
        "accuracy on the subset, and on test examples (SD over models)": [
            percent(float(accuracy[name].mean()), float(accuracy[name].std())) for name in accuracy
        ],
        "test accuracy of logistic regression": percent(_linear(data)),
        "processor time of a trial": seconds(spent["train"] / len(run.trials)),
        "processor time in all, minutes": sum(spent.values()) / 60,
    }
    record.settings = {
        "training and test examples": [5000, 1000],
        "trials": len(run.trials),
        "models that judge, subsets, models on each": [120, 40, 3],
        "damping": 0.05,
        "times as many training examples as digits": 3.5,
        "ceiling of two models on digits": 0.66,
        "length of the sketch": 2048,
    }
    return record


def _linear(data: Path) -> float:
    """Test accuracy of logistic regression on the halved images that the network begins with."""
    examples = load(read_config(f"configs/{CONFIG}.yaml", f"dataset.data_dir={data}").dataset)
    train, test = (
        np.asarray(images, np.float64).reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4))
        for images in (examples.train_images, examples.test_images)
    )
    model = LogisticRegression(C=0.01, max_iter=500)
    model.fit(train.reshape(len(train), -1) / train.max(), examples.train_labels)
    right = model.score(test.reshape(len(test), -1) / train.max(), examples.test_labels)
    return float(right)


def _processor() -> float:
    """Seconds of the processor that the ended commands took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Conducts what is missing, and prints or records the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of CIFAR-100")
    parser.add_argument(
        "--out", type=Path, default=Path(f"runs/{CONFIG}_quality"), help="folder of the run"
    )
    recording(parser)
    arguments = parser.parse_args()
    out, data = arguments.out.resolve(), arguments.data.resolve()
    conduct(out, data)
    record = recorded(out, data)
    print(json.dumps({"values": record.values, "tables": record.tables}, indent=1))
    if arguments.record:
        figure = out / "run" / "experiments" / "attribution-quality" / "figure.png"
        keep_picture(figure, PICTURES.parent / "attribution-quality-ten-classes.png")
        record.write([*map(" ".join, commands()), command(sys.argv)])


if __name__ == "__main__":
    main()
