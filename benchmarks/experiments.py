"""Conducts every experiment at a small size, for its page: its figure and what it found.

    python -m benchmarks.experiments --data FOLDER

FOLDER holds sst2, for the experiments on sentences. Figures go to docs/images/experiments, and
findings to docs/measured/experiments. It takes about half an hour on 2 cores; what is complete in
`--out` is not made again. `python -m benchmarks.experiments removal` makes one page's only.

    python -m benchmarks.experiments --full removal

conducts an experiment at the sizes that pages show, and writes what it finds to
docs/measured/findings/full; `--full removal/sst2_head` conducts it at one of them. What is complete
in `--out` is not made again. Together they take about an hour of the processor.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
from PIL import Image

from benchmarks.found import TABLES
from benchmarks.measured import FOLDER, Record, choosing

PICTURES = FOLDER.parent / "images" / "experiments"
_WIDTH = 1400  # pixels; the column of a page has 700, of which a dense screen shows two each
_DIGITS = ("digits", ("training.trials=400",))
_SENTENCES = ("sst2_head", ("training.trials=200", "attribution.share=0.003"))

# Configuration, settings of the run, and settings of the experiment, under `experiments.SECTION`.
SIZES = {
    "attribution-quality": (*_DIGITS, ("subsets=30", "repeats=2", "trials=[32,64,128,256,400]")),
    "brittleness": (*_DIGITS, ("tests=6", "repeats=2")),
    "estimators": (*_DIGITS, ()),
    "fraction": (*_DIGITS, ("trials=50",)),
    "halves": (*_DIGITS, ()),
    "instances": (*_DIGITS, ()),
    "label-errors": ("digits_label_errors", ("training.trials=60",), ()),
    "last-k-layers": (*_DIGITS, ("trials=200",)),
    "last-layer": (*_DIGITS, ()),
    "leave-one-out": (*_DIGITS, ("examples=30", "repeats=20", "repeats_with=100")),
    "mem-infl": (*_DIGITS, ()),
    "onion": (*_DIGITS, ()),
    "pair-utility": (*_DIGITS, ("repeats=20",)),
    "privacy": (*_DIGITS, ()),
    "proxies": (*_DIGITS, ("trainings=[1,2]",)),
    "random-labels": (*_DIGITS, ("trials=100",)),
    "reduction-rate": (*_SENTENCES, ()),
    "removal": (*_DIGITS, ("repeats=10",)),
    "seeds": (*_DIGITS, ()),
    "texts": ("sst2_language", ("training.trials=200",), ()),
    "typicality": (*_SENTENCES, ()),
}
_FULL = ("digits", ("training.trials=4000",))
_ATTACKED = ("digits", ("training.trials=2000",))
_ATTRIBUTED = ("digits", ("training.trials=2048",))
_NOISY = ("digits_label_errors", ("training.trials=200",))
_CNN = ("digits_cnn", ("training.trials=200", "seed=1", "experiments.pair_utility.repeats=10"))
_HEAD = ("sst2_head", ("training.trials=2000",))
# The same at full size, by the name of the file that holds what was found.
FULL = {
    "attribution-quality": (*_ATTRIBUTED, ()),
    "attribution-quality/without-ridge": (
        "digits",
        (*_ATTRIBUTED[1], "gradient_attribution.ridge=0", "gradient_attribution.projection=256"),
        ("models=[5]", "trials=[32]", "sparse=false"),
    ),
    "brittleness": (*_ATTRIBUTED, ()),
    "estimators": (*_ATTACKED, ()),
    "estimators/sst2_head": (*_HEAD, ()),
    "fraction": (*_FULL, ("trials=400",)),
    "label-errors": (*_NOISY, ()),
    "label-errors/20-epochs": (_NOISY[0], (*_NOISY[1], "training.epochs=20"), ()),
    "last-k-layers": (*_FULL, ("depths=[1,2]",)),
    "last-k-layers/cnn": (*_CNN, ("depths=[1,2,3]",)),
    "last-layer": (*_FULL, ()),
    "leave-one-out": (*_FULL, ()),
    "mem-infl": (*_FULL, ()),
    "mem-infl/cnn": (*_CNN, ()),
    "onion": (*_ATTACKED, ()),
    "pair-utility": (*_FULL, ()),
    "pair-utility/cnn": (*_CNN, ()),
    "privacy": (*_ATTACKED, ()),
    "proxies": (*_FULL, ()),
    "proxies/wrong-labels": (*_NOISY, ()),
    "random-labels": ("digits", ("training.trials=600",), ("trials=300",)),
    "reduction-rate/sst2_head": (_HEAD[0], (*_HEAD[1], "attribution.share=0.015"), ()),
    "removal": (*_FULL, ("repeats=40",)),
    "removal/cnn": (*_CNN, ("thresholds=[0.1,0.3,0.5]", "repeats=10")),
    "removal/sst2_head": (*_HEAD, ()),
    "seeds/sst2_head": (*_HEAD, ()),
    "typicality/sst2_head": (*_HEAD, ()),
}
_PICTURED = {"attribution-quality"}  # at full size, for docs/images
_SECTIONS = {"last-layer": "layers", "last-k-layers": "layers"}


def command(name: str, full: bool = False) -> list[str]:
    """The command that conducts an experiment at its small or full size, as one would type it."""
    config, run, own = (FULL if full else SIZES)[name]
    experiment = name.partition("/")[0]
    section = _SECTIONS.get(experiment, experiment.replace("-", "_"))
    made = ["tfmem", "experiment", experiment, config, "--out", f"runs/{_folder(name, full)}"]
    if config.startswith("sst2"):
        run = (*run, "dataset.data_dir=sst2")
    options = [*run, *(f"experiments.{section}.{each}" for each in own)]
    return [*made, *(part for option in options for part in ("--set", option))]


def _folder(name: str, full: bool) -> str:
    """The folder of the run, which experiments share that begin with the same trials."""
    config, run, _ = (FULL if full else SIZES)[name]
    trained = [each.rpartition("=")[2] for each in run if each.startswith("training.")]
    return "-".join([config, *trained]) if full else config


def conduct(name: str, out: Path, data: Path | None, full: bool = False) -> None:
    """Runs the command, and keeps its figure and its findings for the pages."""
    words = command(name, full)
    folder = _folder(name, full)
    place = out / folder
    words[words.index(f"runs/{folder}")] = str(place)
    if folder.startswith("sst2"):
        if data is None:
            print(f"{name}: skipped, --data is not given")
            return
        words[words.index("dataset.data_dir=sst2")] = f"dataset.data_dir={data / 'sst2'}"
    program = Path(sys.executable).with_name(words[0])
    subprocess.run([program, *words[1:], "--quiet"], check=True)
    experiment = name.partition("/")[0]
    made = place / "experiments" / experiment
    found = json.loads((made / "findings.json").read_text())["findings"]
    record = Record(f"{'findings/full' if full else 'experiments'}/{name}")
    record.values["findings"] = found
    if full and experiment in TABLES:
        TABLES[experiment](record, pd.read_csv(made / "table.csv"))
    if not full or name in _PICTURED:
        place = PICTURES.parent if full else PICTURES
        keep_picture(made / "figure.png", place / f"{name}.png")
    record.write(commands=[" ".join(command(name, full))])


def keep_picture(source: Path, target: Path) -> None:
    """A figure at the size at which pages show it, in 256 colours, so that it takes little room."""
    with Image.open(source) as picture:
        height = round(picture.height * _WIDTH / picture.width)
        small = picture.convert("RGB").resize((_WIDTH, height), Image.Resampling.LANCZOS)
    target.parent.mkdir(parents=True, exist_ok=True)
    small.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(
        target, optimize=True
    )


def main() -> None:
    """Makes the pages' figures and findings, all or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    choosing(parser, "names", dict.fromkeys([*SIZES, *FULL]))
    parser.add_argument("--out", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--data", type=Path, help="folder with sst2")
    parser.add_argument("--full", action="store_true", help="at the size that pages show")
    arguments = parser.parse_args()
    if not arguments.full and (large := [n for n in arguments.names if n not in SIZES]):
        parser.error(f"{large[0]}: expected with --full")
    for name in arguments.names or SIZES:
        sizes = [each for each in FULL if name in (each, each.partition("/")[0])]
        for each in sizes if arguments.full else [name]:
            conduct(each, arguments.out, arguments.data, arguments.full)


if __name__ == "__main__":
    main()
