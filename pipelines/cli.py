"""The command line: every command is one call into a pipeline or the library."""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tfmem.config import Config, SelectionSettings, from_yaml
from tfmem.errors import InputError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    add_completion=False,
    help="What has my model memorized, and which training examples does each prediction rest on?",
)

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
    from tfmem.aggregation.launching import beam_options

    settings = _settings(config, set)
    _begin(settings, out)
    beam_options(beam or [])
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
        "tfmem estimate '*.tfrecord' --labels labels.npz --out estimates --influence 0.1 -- "
        "--direct_running_mode=multi_processing --direct_num_workers=2",
    )
)
def estimate(
    predictions: Annotated[str, typer.Argument(help="Path or glob of shards.", show_default=False)],
    labels: Annotated[str, typer.Option(help="The labels.npz beside them.", show_default=False)],
    out: Annotated[str, typer.Option(help="Folder for the estimates.", show_default=False)],
    memorization: Annotated[
        float, typer.Option(help="Pairs: least memorization.", min=-1, max=1)
    ] = SelectionSettings().memorization,
    influence: Annotated[
        float, typer.Option(help="Pairs: least influence.", min=-1, max=1)
    ] = SelectionSettings().influence,
    beam: BeamArgs = None,
) -> None:
    """Estimate memorization and influence from prediction records, and select pairs, in one job."""
    from apache_beam.io.filesystems import FileSystems

    from tfmem.aggregation.jobs import estimate as run_job

    if (Path(out) / "config.yaml").exists():
        raise InputError(
            f"--out {out}: is the folder of a run; choose another, or `tfmem run --set selection.…`"
        )
    kinds = ("memorization", "influence", "pairs")
    folders = {kind: FileSystems.join(out, kind) for kind in kinds}
    selection = SelectionSettings(memorization=memorization, influence=influence)
    counters = run_job(predictions, labels, folders, selection, beam or [])
    for name, value in sorted(counters.items()):
        print(f"{name.replace('_', ' ')}: {value:,}")
    _done(out, ", ".join(kinds))


@app.command(epilog=_examples("tfmem pairs runs/digits", "tfmem pairs runs/digits --top 5"))
def pairs(
    folder: RunFolder,
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 20,
) -> None:
    """Show the selected high-influence pairs and their statistics."""
    from tfmem.run import load_run

    opened = load_run(folder)
    table = _table("train", "test", "label", "influence", "SE", "memorization")
    for row in opened.pairs.head(top).to_dict("records"):
        indices = (str(row[name]) for name in ("train_index", "test_index", "label"))
        numbers = (f"{row[name]:.3f}" for name in ("influence", "stderr", "memorization"))
        table.add_row(*indices, *numbers)
    Console().print(table)
    found = opened.pair_statistics
    examples = f"{found.unique_train} training and {found.unique_test} test examples"
    print(f"{found.pairs} pairs of {examples}")
    for influencers, tests in found.influencers.items():
        print(f"{tests} test examples have exactly {influencers} influencer(s)")
    _done(folder / "pairs")


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


def _settings(path: Path, overrides: list[str]) -> Config:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the configuration cannot be read: {error}") from None
    return from_yaml(text, overrides, str(path))


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


def main(commands: typer.Typer = app) -> None:
    """Runs a command line; a mistake is one line and exit code 1.

    With `TFMEM_TRACEBACK=1` in the environment the line comes with its traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", force=True)
    for name in ("absl", "apache_beam", "tensorflow", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        commands()
    except InputError as error:
        if os.environ.get("TFMEM_TRACEBACK"):
            raise
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
