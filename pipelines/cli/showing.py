"""Commands that show estimates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfmem.messages.errors import InputError
from tfmem.messages.numbers import three
from tfmem.messages.terminal import PlainTable, present, printable, warn
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    DataDir,
    DatasetName,
    dataset_settings,
    done,
)

if TYPE_CHECKING:
    import pandas as pd

    from tfmem.estimation.units import Units
    from tfmem.experiments.run import Run


_AMONG = "{pairs:,} pairs selected among {tested:,}"


@command(
    "tfmem show runs/digits",
    "tfmem show runs/digits --top 50",
    "tfmem show runs/digits/self_influence/fast",
)
def show(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="Output folder of a run, or a folder with memorization records of any estimator.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="Number of rows of the table.", min=1)] = 20,
) -> None:
    """Show the most memorized training examples."""
    from tfmem.experiments.run import load_run
    from tfmem.store.results import estimator_of, read_memorization

    if any(folder.glob("memorization-*.tfrecord")):
        listed = PlainTable("index", "label", "memorization")
        for row in _ranked(read_memorization(folder)).head(top).itertuples():
            listed.add(str(row.Index), str(row.label), three(row.memorization))
        present(listed)
        present(estimator_of(folder))
        done(folder)
        return
    run = load_run(folder)
    ranked = _ranked(run.memorization).head(top)
    units, labels = run.units, run.known_labels
    ids = None if labels is None else labels.train_ids
    columns = {"index": [str(index) for index in ranked.index]}
    if ids is not None:
        columns["name"] = [printable(str(ids[index])) for index in ranked.index]
    if labels is None or labels.has_classes:
        columns["label"] = [str(label) for label in ranked["label"]]
    shown = units.difference
    columns |= {
        "memorization": [shown(row.memorization) for row in ranked.itertuples()],
        "95% interval": [
            f"{shown(row.ci_low)} to {shown(row.ci_high)}" for row in ranked.itertuples()
        ],
    }
    for side in ("in", "out"):
        means = ranked[f"{units.kind}_{side}"]
        counts = run.measure.models * ranked[f"n_{side}"]
        columns[f"{side}: {units.name}" if units.bounded else side] = [
            f"{units.mean(mean)} of {count}" for mean, count in zip(means, counts, strict=True)
        ]
    listed = PlainTable(*columns)
    for cells in zip(*columns.values(), strict=True):
        listed.add(*cells)
    present(listed)
    if not units.bounded:
        present(f"in, out: mean {units.name} of the models trained with and without the example")
    done(folder / "memorization")


def _ranked(memorization: pd.DataFrame) -> pd.DataFrame:
    """The rows whose memorization is known, the most memorized first."""
    known = memorization.dropna(subset="memorization")
    return known.sort_values("memorization", ascending=False, kind="stable")


@command(
    "tfmem pairs runs/digits",
    "tfmem pairs runs/digits --top 5",
    "tfmem pairs runs/digits/self_influence/pairs",
    "tfmem pairs cifar100_high_infl_pairs_infl0.15_mem0.25.npz",
    "tfmem pairs cifar100_high_infl_pairs_infl0.15_mem0.25.npz --dataset cifar100 "
    "--data-dir cifar-100-binary --out galleries",
)
def pairs(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE.npz",
            help="Output folder of a run, a folder with records of pairs, or a published file with "
            "pairs or class-wise matrices.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="Number of rows of the table.", min=1)] = 20,
    dataset: DatasetName = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With --dataset: folder for the galleries.", show_default=False),
    ] = None,
    memorization: Annotated[
        float | None,
        typer.Option(
            help="With a file: show only pairs whose training example is memorized at least this "
            "much.",
            min=-1,
            max=1,
        ),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(
            help="With a file: show only pairs with at least this influence.", min=-1, max=1
        ),
    ] = None,
) -> None:
    """Show the high-influence pairs of a run or of a published file, and their statistics.

    For a published file, --dataset names the data set that its indices refer to, in the same order;
    then galleries of the pairs are drawn, too.
    """
    from tfmem.exchange import open_pairs, pair_statistics
    from tfmem.experiments.run import load_run
    from tfmem.store.results import read_pairs

    options = (dataset, data_dir, out, memorization, influence)
    if source.is_dir() and any(option is not None for option in options):
        raise InputError(
            f"{source}: a run has its own data, figures and thresholds, so only --top is possible"
        )
    if (dataset is None) != (out is None) or (data_dir and not dataset):
        raise InputError("galleries need both --dataset and --out, and --data-dir goes with them")
    opened = None if source.is_dir() else open_pairs(source, memorization, influence)
    of_records = any(source.glob("pairs-*.tfrecord"))
    if opened is None:
        found = read_pairs(source) if of_records else load_run(source).pairs
    else:
        found = opened.table
    of_run = opened is None and not of_records
    _print_pairs(found, top, load_run(source) if of_run else None)
    counted = pair_statistics(found)
    examples = f"{counted.unique_train} training and {counted.unique_test} test examples"
    present(f"{counted.pairs} pairs of {examples}")
    if of_records:
        present(_of_records(source))
    elif opened is None:
        present(_selected(load_run(source)))
    for influencers, tests in counted.influencers.items():
        present(f"{tests} test examples have exactly {influencers} influencer(s)")
    if opened is None or dataset is None or out is None:
        done(source if opened or of_records else source / "pairs")
        return
    from tfmem.datasets import load
    from tfmem.figures import save_pair_galleries

    data = load(dataset_settings(dataset, data_dir))
    within = save_pair_galleries(found, data, out, opened.most_influenced)
    present(f"{within} of {len(found)} pairs join two examples of one class of {data.name}")
    if within < len(found):
        warn(
            "if pairs were selected within classes, the file is from other data or in another order"
        )
    done(out, "PNG and PDF")


def _print_pairs(pairs: pd.DataFrame, top: int, run: Run | None) -> None:
    from tfmem.estimation.units import SHARES

    names = {"train_index": "train", "test_index": "test", "test_label": "test label",
             "stderr": "SE", "q_value": "q"}  # fmt: skip
    columns = ["train_index", "test_index", "label", "influence", "stderr", "q_value",
               "memorization"]  # fmt: skip
    if "test_label" in pairs and (pairs["label"] != pairs["test_label"]).any():
        columns.insert(3, "test_label")
    known = [
        name for name in columns if name in pairs and (pairs.empty or pairs[name].notna().any())
    ]
    labels = None if run is None else run.known_labels
    if labels is not None and not labels.has_classes:
        known.remove("label")
    shown = pairs[known].head(top)
    for split in ("train", "test"):
        ids = None if labels is None else getattr(labels, f"{split}_ids")
        if ids is not None:
            indices = shown[f"{split}_index"]
            named = [f"{index} {printable(str(ids[index]))}" for index in indices]
            shown = shown.assign(**{f"{split}_index": named})
    units = SHARES if run is None else run.units
    listed = PlainTable(*(names.get(name, name) for name in shown.columns))
    for row in shown.to_dict("records"):
        listed.add(*(_cell(str(name), value, units) for name, value in row.items()))
    present(listed)


def _cell(name: str, value: object, units: Units) -> str:
    if isinstance(value, float):
        return f"{value:.2g}" if name == "q_value" else units.difference(value)
    return str(value)


def _selected(run: Run) -> str:
    """How many pairs were selected among how many, and by which rule if that is known."""
    from tfmem.selection.settling import describe_selection

    if run.has_rule:
        return describe_selection(run.rule, run.selection)
    return _AMONG.format(**run.selection)


def _of_records(folder: Path) -> str:
    """How many pairs in a folder of records were selected, and by which rule if it is known."""
    from tfmem.selection.rules import read_rule
    from tfmem.selection.settling import describe_selection
    from tfmem.store.results import RULE_NAME, read_selection

    found = read_selection(folder)
    if not (folder / RULE_NAME).exists():  # a run keeps its rule among its settings
        return _AMONG.format(**found)
    return describe_selection(read_rule(folder), found)
