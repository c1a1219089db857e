"""Counterfactual memorization of a small language model among canaries, for its page.

    python -m benchmarks.language FOLDER --record
    python -m benchmarks.language FOLDER --texts yahoo --record

FOLDER holds sst2, the Stanford treebank, and yahoo, whose train.csv has a column `sentence`. Of
SST-2, 200 models are trained on subsets of examples, 200 on subsets that hold near duplicates as
wholes, and 100 of the latter for fewer epochs: 25 minutes of one core. Of Yahoo! Answers, 200
models are trained on subsets of examples. What is complete in `--out` is not made again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tfmem
from benchmarks.experiments import PICTURES, keep_picture
from benchmarks.measured import Column, Record, quantity, recording
from tfmem.experiments.correlation import RankCorrelation, rank_correlation
from tfmem.store.spreadsheets import read_csv


@dataclass(frozen=True)
class Texts:
    """Texts that are measured, and how.

    Attributes:
      config: the shipped configuration.
      record: name of the file of numbers.
      picture: name of the figure.
      ways: by name, what the table calls an estimation, and settings of its run.
    """

    config: str
    record: str
    picture: str
    ways: Mapping[str, tuple[str, tuple[str, ...]]]


_ALONE = {"alone": ("each copy alone", ("training.trials=200",))}
TEXTS = {
    "sst2": Texts(
        "sst2_language",
        "language-models",
        "texts",
        {
            **_ALONE,
            "groups": ("copies as one", ("training.trials=200",)),
            "short": ("copies as one, 5 epochs", ("training.trials=100", "training.epochs=5")),
        },
    ),
    "yahoo": Texts("yahoo_language", "language-models-yahoo", "texts-yahoo", _ALONE),
}


def conduct(texts: str, out: Path, data: Path) -> None:
    """Runs all estimations, and the experiment on each."""
    config, ways = TEXTS[texts].config, TEXTS[texts].ways
    groups = out / "groups.csv"
    where = ["--set", f"dataset.data_dir={data / texts}"]
    if "groups" in ways:
        _tfmem("duplicates", config, "--file", groups, *where)
    for way, (_, settings) in ways.items():
        more = [*where, "--set", "training.stack_size=10"]
        more += [word for each in settings for word in ("--set", each)]
        if way != "alone":
            more += ["--set", f"training.groups={groups}"]
        _tfmem("run", config, "--out", out / way, *more)
        _tfmem("experiment", "texts", config, "--out", out / way, *more)


def _tfmem(*words) -> None:
    program = Path(sys.executable).with_name("tfmem")
    subprocess.run([program, *map(str, words), "--quiet"], check=True)


def recorded(texts: str, out: Path) -> Record:
    """The numbers of all estimations."""
    ways = TEXTS[texts].ways
    record = Record(TEXTS[texts].record)
    tables = {
        way: read_csv(out / way / "experiments" / "texts" / "table.csv", ["memorization"])
        for way in ways
    }
    rows = []
    for copies in sorted(set(tables["alone"]["copies"]) - {0}):
        row: list[Any] = [f"canaries planted {'once' if copies == 1 else f'{copies} times'}"]
        for table in tables.values():
            chosen = table[table["copies"] == copies]
            each = chosen["memorization"].to_numpy().reshape(-1, copies).mean(axis=1)
            row += [
                _mean(each),
                int(table["memorization"].rank(ascending=False, method="max")[chosen.index].max()),
            ]
        rows.append(row)
    real = {way: table[table["copies"] == 0] for way, table in tables.items()}
    rows.append(
        [
            "texts" if texts == "yahoo" else "sentences",
            *(cell for of in real.values() for cell in (_mean(of["memorization"]), None)),
        ]
    )
    heads = [
        Column(f"{what}, {said}", digits=digits)
        for said, _ in ways.values()
        for what, digits in (("memorization", 3), ("rank of the last", 0))
    ]
    record.table("canaries", [Column("texts"), *heads], rows)
    for way, (said, _) in ways.items():
        run = tfmem.load_run(out / way)
        scores = {
            name: run.trials[f"{name}_score"].agg(["mean", "std"])
            for name in ("subset", "held_out", "test")
        }
        all_pairs = len(run.memorization) * len(run.labels.test_labels)
        table = real[way]
        memorization = table["memorization"].to_numpy()
        record.values |= {
            f"{said}: trials": len(run.trials),
            f"{said}: mean score (SD over models)": {
                name: quantity(float(of["mean"]), error=float(of["std"]))
                for name, of in scores.items()
            },
            f"{said}: selected pairs of all": [len(run.pairs), all_pairs],
            f"{said}: largest influence": quantity(
                float(run.pairs["influence"].max()), error=float(run.pairs["stderr"].iloc[0])
            ),
            f"{said}: rank correlation with number of tokens": _said(
                rank_correlation(memorization, table["tokens"].to_numpy(float))
            ),
            f"{said}: rank correlation with frequency of tokens": _said(
                rank_correlation(memorization, table["frequency"].to_numpy(float))
            ),
            f"{said}: median standard error of memorization": float(table["stderr"].median()),
            f"{said}: sentences of at least 0.25": int((memorization >= 0.25).sum()),
        }
        findings = json.loads((out / way / "experiments" / "texts" / "findings.json").read_text())
        record.values[f"{said}: findings"] = findings["findings"]
    record.settings = {
        "texts": [len(real["alone"]), len(run.labels.test_labels)],
        "subset fraction": 0.25,
    }
    return record


def _mean(values) -> dict[str, Any]:
    values = np.asarray(values, float)
    return quantity(float(values.mean()), error=float(values.std(ddof=1) / np.sqrt(len(values))))


def _said(found: RankCorrelation) -> dict[str, Any]:
    return quantity(found.value, low=found.low, high=found.high)


def main() -> None:
    """Conducts both, and prints or records the numbers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sst2 or yahoo")
    parser.add_argument("--texts", choices=TEXTS, default="sst2")
    parser.add_argument("--out", type=Path, help="folder of the runs")
    recording(parser)
    arguments = parser.parse_args()
    texts = TEXTS[arguments.texts]
    out = arguments.out or Path("runs") / texts.record
    out.mkdir(parents=True, exist_ok=True)
    conduct(arguments.texts, out, arguments.data)
    record = recorded(arguments.texts, out)
    print(json.dumps({"values": record.values, "tables": record.tables}, indent=1))
    if arguments.record:
        picture = out / "alone" / "experiments" / "texts" / "figure.png"
        keep_picture(picture, PICTURES / f"{texts.picture}.png")
        record.write()


if __name__ == "__main__":
    main()
