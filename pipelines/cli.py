"""The command line: every command is one call into a pipeline or the library."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from tfmem.config import Config, DatasetSettings, SelectionSettings, from_yaml
from tfmem.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    help="What has my model memorized, and which training examples does each prediction rest on?",
)

_SELECTION = SelectionSettings()

ConfigFile = Annotated[Path, typer.Argument(help="Settings in YAML.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Folder for all outputs.", show_default=False)]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
BeamArgs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- BEAM OPTIONS]", help="Passed on to Apache Beam.", show_default=False
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Output folder of a run.", show_default=False)
]
Format = Literal["pairs-npz", "matrices-npz", "demo-npz", "parquet", "csv"]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Name of a data set, as in a configuration.", show_default=False
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", help="Where the data set is.", show_default=False),
]


def _examples(*commands: str) -> str:
    return "Examples:\n\n" + "\n\n".join(f"  [cyan]{command}[/cyan]" for command in commands)


@app.command(
    epilog=_examples(
        "tfmem run configs/digits.yaml --out runs/digits",
        "tfmem run configs/digits.yaml --out runs/small --set training.trials=500",
        "tfmem run configs/mnist_demo.yaml --out runs/mnist --set dataset.data_dir=~/mnist -- "
        "--direct_running_mode=multi_processing --direct_num_workers=2",
    )
)
def run(config: ConfigFile, out: Out, set: Set = [], beam: BeamArgs = None) -> None:  # noqa: B006
    """Train, estimate, select pairs, draw figures and write a page.

    What is there and unchanged is not made again, and a run that was stopped continues.
    """
    from pipelines.memorization import memorization
    from pipelines.runner import run_chain
    from tfmem.aggregation.runners import beam_options, goes_to_dataflow

    settings = _settings(config, set)
    if goes_to_dataflow(beam_options(beam or [])):
        raise InputError(
            f"--out {out}: `tfmem run` works in a folder of this machine, which workers of "
            "Dataflow cannot reach: use `tfmem train --beam` and `tfmem estimate`"
        )
    _begin(settings, out)
    with _resumable():
        run_chain(memorization(settings, beam or []), out)
    _done(out / "report.html", "figures, TFRecords and settings are beside it")


@app.command(
    epilog=_examples(
        "tfmem train configs/digits.yaml --out runs/digits",
        "tfmem train configs/digits.yaml --out runs/digits --set training.trials=4000",
        "tfmem train configs/cifar100_resnet50.yaml --out gs://bucket/run --worker 3/64",
        "tfmem train configs/cifar100_resnet50.yaml --out gs://bucket/run --beam "
        "--accelerator 'type:nvidia-tesla-t4;count:1;install-nvidia-driver' -- "
        "--runner=DataflowRunner --project=… --region=…",
    )
)
def train(
    config: ConfigFile,
    out: Annotated[
        str, typer.Option(help="Folder for all outputs, or its URL.", show_default=False)
    ],
    set: Set = [],  # noqa: B006
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER/COUNT",
            help="Train as one of several programs that share only the folder.",
            show_default=False,
        ),
    ] = None,
    farm: Annotated[
        bool, typer.Option("--beam", help="Train as a Beam job (options after --).")
    ] = False,
    accelerator: Annotated[
        str | None,
        typer.Option(help="With --beam: what each worker needs.", show_default=False),
    ] = None,
    beam: BeamArgs = None,
) -> None:
    """Train the trials of a run and write their predictions; continues what was stopped.

    Workers can be added, lost and started again at any time: a shard that nobody is at any more is
    taken over, and none is counted twice.
    """
    from components.train import describe
    from tfmem.datasets import load
    from tfmem.training import Worker, check_directory, train
    from tfmem.training.storage import open_folder

    settings = _settings(config, set)
    if (worker and farm) or ((accelerator or beam) and not farm):
        raise InputError("--worker goes without --beam, --accelerator and Beam options with it")
    number = Worker.parse(worker) if worker else None
    folder = open_folder(out)
    check_directory(folder.path("predictions"), settings)
    folder.make()
    with _resumable():
        if farm:
            from pipelines.farm import farm_out

            summary = farm_out(settings, out, beam or [], accelerator)
        else:
            summary = train(settings, load(settings.dataset), out, number)
    print(describe(summary))
    _done(folder.path("predictions"), "one line a trial: " + folder.path("trials.csv"))


@app.command(
    epilog=_examples(
        "tfmem features configs/cifar100_resnet50.yaml --out features.npz",
        "tfmem run configs/cifar100_last_layer.yaml --out runs/last_layer "
        "--set dataset.data_dir=features.npz",
    )
)
def features(
    config: ConfigFile,
    out: Annotated[Path, typer.Option(help="The npz file to write.", show_default=False)],
    layer: Annotated[str, typer.Option(help="The layer whose outputs are kept.")] = "features",
    set: Set = [],  # noqa: B006
) -> None:
    """Train one model on everything and store its penultimate features of all examples."""
    from tfmem.datasets import load
    from tfmem.quiet import import_tensorflow
    from tfmem.training.progress import EpochProgress

    settings = _settings(config, set)
    if out.suffix != ".npz" or not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: expected a file called .npz in a folder that is there")
    dataset = load(settings.dataset)
    import_tensorflow()
    from tfmem.training.features import write_features

    with EpochProgress(settings.training.epochs) as progress:
        outcome = write_features(settings, dataset, out, layer, lambda trials: progress)
    print(f"test accuracy {outcome.test_correct.mean():.2%}")
    _done(out, f"train_features and test_features: the outputs of {layer!r}")


@app.command(
    epilog=_examples(
        "tfmem estimate 'runs/digits/predictions/*.tfrecord' --labels "
        "runs/digits/predictions/labels.npz --out estimates",
        "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --pairs all --fdr 0.05",
        "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --influence 0.1 -- "
        "--direct_running_mode=multi_processing --direct_num_workers=2",
        "tfmem estimate 'gs://bucket/run/predictions/*.tfrecord' --labels "
        "gs://bucket/run/predictions/labels.npz --out gs://bucket/estimates -- "
        "--runner=DataflowRunner --project=… --region=… --temp_location=gs://bucket/tmp "
        "--sdk_container_image=…",
    )
)
def estimate(
    predictions: Annotated[str, typer.Argument(help="Path or glob of shards.", show_default=False)],
    labels: Annotated[str, typer.Option(help="The labels.npz beside them.", show_default=False)],
    out: Annotated[str, typer.Option(help="Folder for the estimates.", show_default=False)],
    memorization: Annotated[
        float, typer.Option(help="Pairs: least memorization.", min=-1, max=1)
    ] = _SELECTION.memorization,
    influence: Annotated[
        float, typer.Option(help="Pairs: least influence.", min=-1, max=1)
    ] = _SELECTION.influence,
    fdr: Annotated[
        float | None,
        typer.Option(help="Pairs: false discovery rate, in place of a least influence."),
    ] = _SELECTION.fdr,
    top_k: Annotated[
        int | None,
        typer.Option(help="Pairs: so many for each test example, in place of a least influence."),
    ] = _SELECTION.top_k,
    pairs: Annotated[
        Literal["same-class", "all"],
        typer.Option(help="Pairs of one class, or of every training with every test example."),
    ] = "same-class",
    sign: Annotated[
        Literal["positive", "negative", "both"], typer.Option(help="Pairs: which influences.")
    ] = _SELECTION.sign,
    beam: BeamArgs = None,
) -> None:
    """Estimate memorization and influence from prediction records, and select pairs, in one job.

    With --pairs all, influence is counted for all pairs but only that of selected pairs is kept.
    """
    from apache_beam.io.filesystems import FileSystems

    from tfmem.aggregation.jobs import estimate as run_job
    from tfmem.aggregation.jobs import search_pairs
    from tfmem.aggregation.runners import beam_options, check_file_systems, check_reachable

    check_reachable(beam_options(beam or []), [predictions, labels, out])
    check_file_systems([predictions, labels, out])
    if (Path(out) / "config.yaml").exists():
        raise InputError(
            f"--out {out}: is the folder of a run; choose another, or `tfmem run --set selection.…`"
        )
    values = {
        "memorization": memorization,
        "influence": influence,
        "fdr": fdr,
        "top_k": top_k,
        "pairs": pairs.replace("-", "_"),
        "sign": sign,
    }
    selection = from_yaml(
        "", [f"selection.{key}={value}" for key, value in values.items() if value is not None]
    ).selection
    kinds = ["memorization", "pairs"] if pairs == "all" else ["memorization", "influence", "pairs"]
    folders = {kind: FileSystems.join(out, kind) for kind in kinds}
    job = search_pairs if pairs == "all" else run_job
    counters = job(predictions, labels, folders, selection, beam or [])
    for name, value in sorted(counters.items()):
        print(f"{name.replace('_', ' ')}: {value:,}")
    _done(out, ", ".join(kinds))


@app.command(
    epilog=_examples(
        "tfmem pairs runs/digits",
        "tfmem pairs runs/digits --top 5",
        "tfmem pairs cifar100_high_infl_pairs_infl0.15_mem0.25.npz",
        "tfmem pairs cifar100_high_infl_pairs_infl0.15_mem0.25.npz --dataset cifar100 "
        "--data-dir cifar-100-binary --out galleries",
    )
)
def pairs(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE.npz",
            help="Output folder of a run, or a published file of pairs or class-wise matrices.",
            show_default=False,
        ),
    ],
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 20,
    dataset: DatasetName = None,
    data_dir: DataDir = None,
    out: Annotated[
        Path | None,
        typer.Option(help="With a data set: folder for the galleries.", show_default=False),
    ] = None,
    memorization: Annotated[
        float | None,
        typer.Option(help="Of a file: only pairs with at least this.", min=-1, max=1),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(help="Of a file: only pairs with at least this.", min=-1, max=1),
    ] = None,
) -> None:
    """Show high-influence pairs and their statistics, of a run or of a published file.

    With the data set of a published file, whose order its index must be, galleries are drawn too.
    """
    from tfmem.published import open_pairs, pair_statistics
    from tfmem.run import load_run

    options = (dataset, data_dir, out, memorization, influence)
    if source.is_dir() and any(option is not None for option in options):
        raise InputError(f"{source}: a run has its own data, figures and thresholds: only --top")
    if (dataset is None) != (out is None) or (data_dir and not dataset):
        raise InputError("galleries need both --dataset and --out, and --data-dir goes with them")
    opened = None if source.is_dir() else open_pairs(source, memorization, influence)
    found = opened.table if opened else load_run(source).pairs
    _print_pairs(found, top)
    counted = pair_statistics(found)
    examples = f"{counted.unique_train} training and {counted.unique_test} test examples"
    print(f"{counted.pairs} pairs of {examples}")
    for influencers, tests in counted.influencers.items():
        print(f"{tests} test examples have exactly {influencers} influencer(s)")
    if opened is None or dataset is None or out is None:
        _done(source / "pairs" if opened is None else source)
        return
    from tfmem.datasets import load
    from tfmem.figures import save_pair_galleries

    data = load(_dataset_settings(dataset, data_dir))
    within = save_pair_galleries(found, data, out, opened.most_influenced)
    print(f"{within} of {len(found)} pairs are of examples of one class of {data.name}")
    if within < len(found):
        _warn("if pairs were selected within classes, these are other data or in another order")
    _done(out, "PNG and PDF")


@app.command(epilog=_examples("tfmem show runs/digits", "tfmem show runs/digits --top 50"))
def show(
    folder: RunFolder,
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 20,
) -> None:
    """Show the most memorized training examples."""
    from tfmem.run import load_run

    estimates = load_run(folder).memorization.dropna(subset="memorization")
    ranked = estimates.sort_values("memorization", ascending=False, kind="stable").head(top)
    table = _table("index", "label", "memorization", "95% interval", "in: right", "out: right")
    for row in ranked.itertuples():
        table.add_row(
            str(row.Index),
            str(row.label),
            f"{row.memorization:.3f}",
            f"{row.ci_low:.3f} to {row.ci_high:.3f}",
            f"{row.accuracy_in:.1%} of {row.n_in}",
            f"{row.accuracy_out:.1%} of {row.n_out}",
        )
    Console().print(table)
    _done(folder / "memorization")


@app.command(epilog=_examples("tfmem report runs/digits"))
def report(folder: RunFolder) -> None:
    """Draw the figures and write the page of a run again, from the estimates that are there."""
    from pipelines.memorization import presentation
    from pipelines.runner import run_chain
    from tfmem.run import load_run

    load_run(folder).config  # noqa: B018  (refuses a folder that is no run)
    run_chain(presentation(), folder)
    _done(folder / "report.html")


@app.command(
    epilog=_examples(
        "tfmem export runs/digits --format pairs-npz --out pairs.npz",
        "tfmem export runs/digits --format matrices-npz --out infl_matrix.npz",
        "tfmem export runs/digits --format parquet --out tables --influence",
    )
)
def export(
    folder: RunFolder,
    form: Annotated[
        Format,
        typer.Option("--format", help="What to write, see below.", show_default=False),
    ],
    out: Annotated[
        Path,
        typer.Option(help="The npz file, or the folder of the tables.", show_default=False),
    ],
    influence: Annotated[
        bool, typer.Option("--influence", help="With tables: one of influence, a row a pair, too.")
    ] = False,
) -> None:
    """Write estimates in a format that others read: those of the paper's authors, Parquet, CSV.

    pairs-npz: tr_idx, tt_idx, infl, mem. matrices-npz: for each class influence [train, test].
    demo-npz: memorization and influence [test, train] of all examples; pairs of different classes,
    which are not estimated, are NaN. parquet, csv: tables of memorization and of pairs.
    """
    from tfmem.published import export

    written = export(folder, form, out, influence)
    _done(out, "" if written == [out] else ", ".join(path.name for path in written))


@app.command(
    "import",
    epilog=_examples(
        "tfmem import imagenet-resnet50/0.7 --labels imagenet_index.npz --out predictions",
        "tfmem import checkpoints/0.7 --dataset mnist --data-dir mnist --out predictions",
        "tfmem estimate 'predictions/*.tfrecord' --labels predictions/labels.npz --out estimates",
    ),
)
def import_(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Where the runs' aux_arrays.npz are, at any depth.", show_default=False
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for the prediction records.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(help="A labels.npz, or an npz with tr_labels, tt_labels.", show_default=False),
    ] = None,
    dataset: DatasetName = None,
    data_dir: DataDir = None,
) -> None:
    """Import predictions of released checkpoints, one aux_arrays.npz a run, for `tfmem estimate`.

    Labels must be in the order of the runs' index: for ImageNet that of imagenet_index.npz, for
    CIFAR that in which TFDS stores examples, which is not the official one.
    """
    from tfmem.datasets import load
    from tfmem.predictions import Labels
    from tfmem.published import import_checkpoints, read_labels

    if (labels and dataset) or (data_dir and not dataset):
        raise InputError("expected --labels, or --dataset (with --data-dir), or neither")
    known = read_labels(labels) if labels else None
    if dataset:
        data = load(_dataset_settings(dataset, data_dir))
        known = Labels(data.train_labels, data.test_labels, data.class_names, data.fingerprint)
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("runs")
        found = import_checkpoints(
            folder, out, known, lambda done, of: bar.update(task, completed=done, total=of)
        )
    print(
        f"{found.trials} trials on {found.subset_size:,} of {found.num_train:,} training examples, "
        f"{found.num_test:,} test examples"
    )
    print(
        f"accuracy: {found.subset_accuracy:.2%} on subsets, {found.held_out_accuracy:.2%} on the "
        f"other training examples, {found.test_accuracy:.2%} on test examples"
    )
    if found.label_p_value > 1e-3:
        _warn(
            f"test accuracy differs between the classes of these labels no more than by chance "
            f"(p = {found.label_p_value:.2g}): are they in the order of the runs' index?"
        )
    _done(out, "prediction records" + (" and labels.npz" if known else ", without labels"))


def _dataset_settings(name: str, data_dir: str | None) -> DatasetSettings:
    return DatasetSettings(name=name, data_dir=data_dir)


def _print_pairs(pairs: pd.DataFrame, top: int) -> None:
    names = {"train_index": "train", "test_index": "test", "stderr": "SE"}
    columns = ("train_index", "test_index", "label", "influence", "stderr", "memorization")
    shown = pairs[[name for name in columns if name in pairs]].head(top)
    table = _table(*(names.get(name, name) for name in shown.columns))
    for row in shown.to_dict("records"):
        table.add_row(*(f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console().print(table)


def _warn(message: str) -> None:
    print(f"warning: {message}", file=sys.stderr)


@app.command(
    epilog=_examples(
        "tfmem groups runs/digits --groups groups.csv",
        "tfmem run configs/digits.yaml --out runs/groups --set training.groups=groups.csv",
        "tfmem groups runs/groups",
    )
)
def groups(
    folder: RunFolder,
    groups: Annotated[
        Path | None,
        typer.Option(
            help="CSV file index,group; else the one that subsets were drawn by.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the estimates; else DIR/groups.", show_default=False),
    ] = None,
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 20,
    least: Annotated[int, typer.Option(help="Trials in, and out, that are enough.", min=1)] = 10,
    parquet: Annotated[bool, typer.Option("--parquet", help="Tables in Parquet, not CSV.")] = False,
) -> None:
    """Estimate memorization and influence of groups of training examples.

    A trial counts for a group if all of it was in the subset, or none.
    """
    from tfmem.aggregation.group_estimates import estimate_groups
    from tfmem.aggregation.reading import load_labels
    from tfmem.groups import GROUPS_NAME, read_groups
    from tfmem.predictions import LABELS_NAME

    predictions = folder / "predictions"
    labels = str(predictions / LABELS_NAME)
    path = groups or predictions / GROUPS_NAME
    if groups is None and not path.exists():
        raise InputError(
            f"{folder}: its subsets were not drawn by group; name a file with --groups"
        )
    known = read_groups(path, len(load_labels(labels).train_labels))
    shards = [str(shard) for shard in predictions.glob("predictions-*.tfrecord")]
    tables = estimate_groups(
        shards, labels, known, out or folder / "groups", least=least, parquet=parquet
    )
    table = _table("group", "size", "in", "out", "memorization", "95% interval", "examples alone")
    ranked = tables.groups.sort_values("memorization", ascending=False, kind="stable").head(top)
    for row in ranked.to_dict("records"):
        table.add_row(
            *(str(row[name]) for name in ("group", "size", "n_in", "n_out")),
            f"{row['memorization']:.3f}",
            f"{row['ci_low']:.3f} to {row['ci_high']:.3f}",
            f"{row['example_memorization']:.3f}",
        )
    Console().print(table)
    print("Test examples that they influence most (± SE):")
    for name in ranked["group"]:
        rows = tables.group_influence.query("group == @name").head(5)
        numbers = zip(rows["test_index"], rows["influence"], rows["stderr"], strict=True)
        print(f"  {name}: " + ", ".join(f"{j} {value:.2f} ± {se:.2f}" for j, value, se in numbers))
    if len(short := tables.groups.query("trials_needed > 0")):
        worst = short.sort_values("trials_needed", ascending=False, kind="stable").head(5)
        print(
            f"{len(short)} of {len(tables.groups)} groups were wholly in, or wholly out, in fewer "
            f"than {least} trials; draw subsets by group (training.groups), or train more:"
        )
        for row in worst.to_dict("records"):
            needed = f"{row['trials_needed']:,.0f}"
            print(
                f"  {row['group']} ({row['size']} examples): {row['n_in']} in, {row['n_out']} out, "
                f"expected to be enough with {needed} trials"
            )
    _done(out or folder / "groups", "records, and tables of groups, members and influence")


@app.command(
    epilog=_examples(
        "tfmem duplicates configs/digits.yaml --out digits-groups.csv --threshold 0.9",
        "tfmem duplicates configs/cifar100_resnet50.yaml --out cifar-groups.csv "
        "--set dataset.data_dir=~/cifar-100-binary",
    )
)
def duplicates(
    config: ConfigFile,
    out: Annotated[
        Path,
        typer.Option(help="CSV file of groups to write.", metavar="FILE.csv", show_default=False),
    ],
    threshold: Annotated[
        float, typer.Option(help="Least similarity of near duplicates.", min=0.01, max=1)
    ] = 0.85,
    set: Set = [],  # noqa: B006
) -> None:
    """Find near duplicates among training images, and of test images in them.

    FILE.csv has the groups of training examples; FILE-pairs.csv and FILE-test.csv the pairs. Look
    at some: where all pictures are alike, as in MNIST, the threshold must be higher.
    """
    import numpy as np

    from tfmem.datasets import load
    from tfmem.duplicates import find_duplicates, write_duplicates

    settings = _settings(config, set)
    if out.suffix != ".csv" or not out.absolute().parent.is_dir():
        raise InputError(f"--out {out}: expected a file called .csv in a folder that is there")
    dataset = load(settings.dataset)
    found = find_duplicates(dataset, threshold)
    write_duplicates(found, out)
    labels = dataset.train_labels
    mixed = sum(np.ptp(labels[members]) > 0 for members in found.groups.values())
    largest = max(map(len, found.groups.values()), default=0)
    joined = sum(map(len, found.groups.values()))
    print(
        f"{len(found.train):,} pairs of training examples, in {len(found.groups):,} groups of "
        f"{joined:,} examples (the largest has {largest:,}); {mixed:,} groups have several labels"
    )
    print(f"{found.test['test_index'].nunique():,} test examples are like a training example")
    _done(out, "index,group; the pairs are beside it")


def _settings(path: Path, overrides: list[str]) -> Config:
    from tfmem.groups import with_groups_digest

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the configuration cannot be read: {error}") from None
    return with_groups_digest(from_yaml(text, overrides, str(path)))


def _begin(settings: Config, out: Path) -> None:
    """Makes the output folder, or refuses one that holds another run."""
    from tfmem.training import check_directory

    check_directory(out / "predictions", settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None


@contextmanager
def _resumable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; the same command continues", file=sys.stderr)
        raise typer.Exit(130) from None


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _done(place: str | Path, more: str = "") -> None:
    print(f"Results: {place}" + (f" ({more})" if more else ""))


def main() -> None:
    """Runs the command line; a mistake is one line and exit code 1.

    With `TFMEM_TRACEBACK=1` in the environment the line comes with its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    for name in ("absl", "apache_beam", "tensorflow", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        app()
    except InputError as error:
        if os.environ.get("TFMEM_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
