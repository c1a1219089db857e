"""Commands that estimate from predictions."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from tfmem.config import SelectionSettings, Statistic, from_yaml
from tfmem.messages.errors import InputError
from tfmem.messages.numbers import three
from tfmem.messages.terminal import PlainTable, present, say
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    BeamArgs,
    Memory,
    RunFolder,
    done,
)
from tfmem.pipelines.cli.stopping import resumable

_SELECTION = SelectionSettings()
StatisticOption = Annotated[
    Statistic | None,
    typer.Option(
        help="What means are taken of: how often models predict the true label; the probability p "
        "that they give it; its margin log(p / (1 - p)); its negative loss log p; or the score "
        "that records hold. By default score, if records hold one, else correctness.",
        show_default=False,
    ),
]


@command(
    "tfmem estimate runs/mine",
    "tfmem estimate 'runs/digits/predictions/*.tfrecord' --labels "
    "runs/digits/predictions/labels.npz --out estimates",
    "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --pairs all --fdr 0.05",
    "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --statistic probability",
    "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --influence 0.5 --unit sd",
    "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --influence 0.1 -- "
    "--direct_running_mode=multi_processing --direct_num_workers=2",
    "tfmem estimate 'gs://bucket/run/predictions/*.tfrecord' --labels "
    "gs://bucket/run/predictions/labels.npz --out gs://bucket/estimates -- "
    "--runner=DataflowRunner --project=… --region=… --temp_location=gs://bucket/tmp "
    "--sdk_container_image=…",
)
def estimate(
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="DIR|SHARDS",
            help="Folder of a run or of a PredictionWriter, which receives the estimates; or path "
            "or glob of prediction shards, with --labels and --out.",
            show_default=False,
        ),
    ],
    labels: Annotated[
        str | None, typer.Option(help="The labels.npz of these predictions.", show_default=False)
    ] = None,
    out: Annotated[
        str | None, typer.Option(help="Folder for the estimates.", show_default=False)
    ] = None,
    statistic: StatisticOption = None,
    memorization: Annotated[
        float | None,
        typer.Option(
            help="Least memorization of a selected training example. By default 0.25 for "
            "correctness and probability; for other statistics there is no condition.",
            show_default=False,
        ),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(
            help="Least influence of a selected pair. By default 0.15 for correctness and "
            "probability; for other statistics --fdr 0.05 takes its place.",
            show_default=False,
        ),
    ] = None,
    unit: Annotated[
        Literal["score", "sd"] | None,
        typer.Option(
            help="Unit of both: that of the score, or the standard deviation of the example's own "
            "score (Cohen's d). By default score.",
            show_default=False,
        ),
    ] = None,
    fdr: Annotated[
        float | None,
        typer.Option(
            help="False discovery rate of the selected pairs, in place of a least influence."
        ),
    ] = _SELECTION.fdr,
    top_k: Annotated[
        int | None,
        typer.Option(
            help="Number of pairs to select for each test example, in place of a least influence."
        ),
    ] = _SELECTION.top_k,
    pairs: Annotated[
        Literal["same-class", "all"] | None,
        typer.Option(
            help="Select among pairs of one class, or among all pairs of a training and a test "
            "example. By default same-class.",
            show_default=False,
        ),
    ] = None,
    sign: Annotated[
        Literal["positive", "negative", "both"] | None,
        typer.Option(
            help="Sign of the influence of selected pairs. By default positive.",
            show_default=False,
        ),
    ] = None,
    memory: Memory = None,
    beam: BeamArgs = None,
) -> None:
    """Estimate memorization and influence from prediction records, and select pairs.

    With --pairs all, influence is counted for all pairs, but it is stored for selected pairs only,
    unless a folder is given. Of a folder, settings of the selection that are not given stay as they
    were, and what is unchanged is not estimated again.
    """
    from tfmem.aggregation.counting import Room
    from tfmem.aggregation.jobs import estimate as run_job
    from tfmem.aggregation.jobs import search_pairs
    from tfmem.selection.rules import rule_of_set
    from tfmem.selection.settling import describe_selection
    from tfmem.store.results import read_selection

    values = {
        "memorization": memorization,
        "influence": influence,
        "unit": unit,
        "fdr": fdr,
        "top_k": top_k,
        "pairs": pairs and pairs.replace("-", "_"),
        "sign": sign,
    }
    given = {name: value for name, value in values.items() if value is not None}
    if Path(predictions).is_dir():
        if labels or out or memory:
            raise InputError(
                f"{predictions}: a folder has its own labels and receives the estimates, so "
                "--labels, --out and --memory are not possible"
            )
        from tfmem.pipelines.estimated import estimate_folder

        with resumable():
            estimate_folder(Path(predictions), given, statistic, beam or [])
        done(predictions, f"`tfmem report {predictions}` draws figures and writes a page")
        return
    if labels is None or out is None:
        raise InputError(
            f"{predictions}: expected a folder, or shards with their --labels and an --out"
        )
    if (Path(out) / "config.yaml").exists():
        raise InputError(
            f"--out {out}: this folder holds a run; choose another, or change the run's selection "
            "with `tfmem run --set selection.…`"
        )
    chosen = [f"selection.{key}={value}" for key, value in given.items()]
    chosen += [f"estimation.statistic={statistic}"] if statistic else []
    selection = from_yaml("", chosen).selection
    kinds = ["memorization", "pairs"] if pairs == "all" else ["memorization", "influence", "pairs"]
    folders = {kind: os.path.join(out, kind) for kind in kinds}
    room = Room(memory=memory)
    if pairs == "all":
        counters = search_pairs(
            predictions, labels, folders, selection, beam or [], statistic, room
        )
    else:
        counters = run_job(predictions, labels, folders, selection, beam or [], statistic, room)
    for name, value in sorted(counters.items()):
        say(f"{name.replace('_', ' ')}: {value:,}")
    pairs_folder = folders["pairs"]
    say(describe_selection(rule_of_set(pairs_folder), read_selection(pairs_folder)))
    done(out, ", ".join(kinds))


@command(
    "tfmem matrix 'runs/digits/predictions/*.tfrecord' --labels "
    "runs/digits/predictions/labels.npz --file influence.npy",
    "tfmem matrix '*.tfrecord' --labels labels.npz --file influence.npy --dtype float16",
    renamed={"--out": "--file"},
)
def matrix(
    predictions: Annotated[
        str,
        typer.Argument(
            metavar="SHARDS", help="Path or glob of prediction shards.", show_default=False
        ),
    ],
    labels: Annotated[
        str, typer.Option(help="The labels.npz of these predictions.", show_default=False)
    ],
    file: Annotated[
        str, typer.Option(help="The local .npy file to write.", metavar="FILE", show_default=False)
    ],
    dtype: Annotated[
        Literal["float32", "float16"],
        typer.Option(help="Type of the numbers: 4 or 2 bytes for each pair."),
    ] = "float32",
    statistic: StatisticOption = None,
    memory: Memory = None,
    beam: BeamArgs = None,
) -> None:
    """Write the influence of every training on every test example as one .npy file.

    A row is a training example, a column a test example. np.load(FILE, mmap_mode="r") opens the
    file without reading it. The rows of training examples that were in the subset of every trial,
    or of none, are NaN. ImageNet's matrix takes 256 GB.
    """
    from tfmem.aggregation.counting import Room
    from tfmem.aggregation.matrices import write_matrix
    from tfmem.aggregation.runners import check_file_systems

    check_file_systems([predictions, labels])
    room = Room(memory=memory)
    counters = write_matrix(predictions, labels, file, dtype, beam or [], statistic, room)
    for name, value in sorted(counters.items()):
        say(f"{name.replace('_', ' ')}: {value:,}")
    done(file, 'np.load(…, mmap_mode="r")')


@command(
    "tfmem groups runs/digits --groups groups.csv",
    "tfmem run digits --out runs/groups --set training.groups=groups.csv",
    "tfmem groups runs/groups",
)
def groups(
    folder: RunFolder,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV file with the columns index and group. By default the groups by which the "
            "run drew its subsets.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the estimates. By default DIR/groups.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of rows of the table.", min=1)] = 20,
    least: Annotated[
        int,
        typer.Option(
            help="Name groups that were wholly in, or wholly out, in fewer trials than this.",
            min=1,
        ),
    ] = 10,
    parquet: Annotated[
        bool, typer.Option("--parquet", help="Write tables as Parquet instead of CSV.")
    ] = False,
) -> None:
    """Estimate memorization and influence of groups of training examples.

    A trial counts for a group if its subset holds the whole group or none of it.
    """
    from tfmem.aggregation.group_estimates import estimate_groups
    from tfmem.aggregation.reading import load_labels
    from tfmem.store.groups import GROUPS_NAME, read_groups
    from tfmem.store.labels import LABELS_NAME
    from tfmem.store.shards import shards_in

    predictions = folder / "predictions"
    labels = str(predictions / LABELS_NAME)
    path = groups or predictions / GROUPS_NAME
    if groups is None and not path.exists():
        raise InputError(
            f"{folder}: the subsets of this run were not drawn by group; name a file with --groups"
        )
    known = read_groups(path, len(load_labels(labels).train_labels))
    tables = estimate_groups(
        shards_in(predictions),
        labels,
        known,
        out or folder / "groups",
        least=least,
        parquet=parquet,
    )
    shown = PlainTable(
        "group", "size", "in", "out", "memorization", "95% interval", "examples alone"
    )
    ranked = tables.groups.sort_values("memorization", ascending=False, kind="stable").head(top)
    for row in ranked.to_dict("records"):
        shown.add(
            *(str(row[name]) for name in ("group", "size", "n_in", "n_out")),
            three(row["memorization"]),
            f"{three(row['ci_low'])} to {three(row['ci_high'])}",
            three(row["example_memorization"]),
        )
    present(shown)
    present("Test examples that each group influences most (± SE, false discovery rate q):")
    for name in ranked["group"]:
        rows = tables.group_influence.query("group == @name").head(5)
        found = (rows[name] for name in ("test_index", "influence", "stderr", "q_value"))
        numbers = zip(*found, strict=True)
        shown_tests = (
            f"{j} {three(value)} ± {three(se)} (q {q:.2g})" for j, value, se, q in numbers
        )
        present(f"  {name}: " + ", ".join(shown_tests))
    if len(short := tables.groups.query("trials_needed > 0")):
        worst = short.sort_values("trials_needed", ascending=False, kind="stable").head(5)
        present(
            f"{len(short)} of {len(tables.groups)} groups were wholly in, or wholly out, in fewer "
            f"than {least} trials; draw subsets by group (training.groups), or train more:"
        )
        for row in worst.to_dict("records"):
            needed = f"{row['trials_needed']:,.0f}"
            present(
                f"  {row['group']} ({row['size']} examples): {row['n_in']} in, {row['n_out']} out, "
                f"expected to be enough with {needed} trials"
            )
    done(out or folder / "groups", "records, and tables of groups, members and influence")
