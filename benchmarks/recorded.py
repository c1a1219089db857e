"""Makes two runs on real data that a small machine can afford, and prints a table of their results.

Runs that are complete are not made again, and runs that were stopped continue.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import tfmem
from benchmarks.measured import Column, Record, quantity, recording
from benchmarks.pages import markdown
from tfmem.aggregation.jobs import select_pairs
from tfmem.config import SelectionSettings
from tfmem.store.records import read_records

RUNS = {
    "MNIST, the authors' network": ("mnist_demo", "mnist", 400),
    "ten classes of CIFAR-100, fast network": ("cifar100_ten_classes", "cifar-100-binary", 200),
}

HEAD = (
    Column(""),
    Column("trials", "", 0),
    Column("test accuracy (SD)", "%", 2),
    Column("memorization ≥ 0.25", "", 0),
    Column("pairs with influence ≥ 0.15", "", 0),
    Column("their test examples", "", 0),
    Column("of these pairs, expected by chance", "", 0),
    Column("pairs at a false discovery rate of 5%", "", 0),
)


def discoveries(folder):
    """Returns the number of pairs with a false discovery rate of at most 5%."""
    selection = SelectionSettings(fdr=0.05)
    labels = folder / "predictions" / "labels.npz"
    with tempfile.TemporaryDirectory() as out:
        select_pairs(str(folder / "influence" / "*.tfrecord"), str(labels), out, selection)
        (path,) = Path(out).glob("pairs-*")
        with open(path, "rb") as file:
            return sum(1 for _ in read_records(file, str(path)))


def row(title, folder):
    """Returns one row of the table."""
    run = tfmem.load_run(folder)
    memorization = run.memorization["memorization"]
    accuracy = run.trials["test_accuracy"]
    return [
        title,
        len(accuracy),
        quantity(100 * accuracy.mean(), error=100 * accuracy.std()),
        quantity(int((memorization >= 0.25).sum()), of=len(memorization)),
        len(run.pairs),
        run.pairs["test_index"].nunique(),
        run.selection["expected_by_chance"],
        discoveries(folder),
    ]


def main():
    """Makes the runs that are missing, and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with mnist/ and cifar-100-binary/")
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    recording(parser)
    arguments = parser.parse_args()
    program = Path(sys.executable).with_name("tfmem")
    rows, made = [], 0
    for title, (name, files, trials) in RUNS.items():
        folder = arguments.out / f"recorded-{name}"
        made += not (folder / "report.html").exists()
        command = [program, "run", f"configs/{name}.yaml", "--out", folder]
        options = f"dataset.data_dir={arguments.data / files}", f"training.trials={trials}"
        subprocess.run([*command, *(f"--set={option}" for option in options)], check=True)
        rows.append(row(title, folder))
    record = Record("recorded", settings={"runs made now": made})
    record.table("runs", HEAD, rows)
    print(markdown(record.tables["runs"]))
    if arguments.record:
        record.write()


if __name__ == "__main__":
    main()
