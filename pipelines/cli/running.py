"""Commands that run a whole chain, or train."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from tfmem.config import Config, from_yaml
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say, tell
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    OWN_FOLDER,
    BeamArgs,
    ConfigFile,
    ResultFile,
    RunFolder,
    RunOut,
    Set,
    done,
    named_as_config,
    settings_of,
)
from tfmem.pipelines.cli.stopping import resumable


def _experiment_name(text: str) -> str:
    """The name of an experiment; they are looked for when a command line has one."""
    from tfmem.experiments import declared

    known = declared()
    for each in known.values():
        if text == each.formerly:
            tell(f"note: {text} is now called {each.name}")
            return each.name
    if text not in known:
        close = difflib.get_close_matches(text, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise typer.BadParameter(f"{text!r} is none of {', '.join(known)}{hint}")
    return text


def _listed() -> str:
    """Names and questions of all experiments."""
    from tfmem.experiments import declared

    known = declared().values()
    width = max(len(each.name) for each in known)
    lines = [f"  {each.name:{width}}  {each.question}" for each in known]
    return "\n".join([" Experiments:\n", *lines, ""])


@command(
    "tfmem run configs/digits.yaml --out runs/digits",
    "tfmem run configs/digits.yaml --out runs/small --set training.trials=500",
    "tfmem run configs/mnist_demo.yaml --out runs/mnist --set dataset.data_dir=~/mnist -- "
    "--direct_running_mode=multi_processing --direct_num_workers=2",
)
def run(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    beam: BeamArgs = None,
) -> None:
    """Train, estimate, select pairs, draw figures and write a page.

    What is there and unchanged is not made again, and a run that was stopped continues.
    """
    from tfmem.aggregation.runners import beam_options, goes_to_dataflow
    from tfmem.pipelines.memorization import memorization
    from tfmem.pipelines.runner import run_chain

    settings = settings_of(config, set)
    if goes_to_dataflow(beam_options(beam or [])):
        raise InputError(
            f"--out {out}: `tfmem run` works in a folder of this machine, which workers of "
            "Dataflow cannot reach: use `tfmem train --beam` and `tfmem estimate`"
        )
    _begin(settings, out)
    with resumable():
        run_chain(memorization(settings, beam or []), out)
    done(out / "report.html", "figures, TFRecords and settings are beside it")


@command(
    "tfmem experiment removal configs/digits.yaml --out runs/digits",
    "tfmem experiment removal configs/digits.yaml --out runs/digits "
    "--set experiments.removal.repeats=50",
    "tfmem experiment removal configs/digits.yaml --out runs/digits-one "
    "--set experiments.estimator=self_influence",
    listed=_listed,
)
def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="Which experiment; they are listed below.",
            parser=_experiment_name,
            metavar="NAME",
            show_default=False,
        ),
    ],
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    beam: BeamArgs = None,
) -> None:
    """Conduct an experiment on a run's estimates; the run is made first if it is not there.

    With experiments.estimator=self_influence, those that need nothing but memorization take that of
    one model, and no run is made. removal goes on with pair-utility, where there is a run.

    What is there and unchanged is not made again, what was stopped continues, and with other
    settings an outcome stays until the new one is complete.
    """
    from tfmem.pipelines.experiments import experiment as chain
    from tfmem.pipelines.runner import run_chain
    from tfmem.store.artifacts import outcome_of

    settings = on_a_run(settings_of(config, set), out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(name, settings, out, beam or []), out)
    done(
        out / outcome_of(name).place,
        f"table.csv, figure.png, figure.pdf; also in {out / 'report.html'}",
    )


@command(
    "tfmem study configs/sst2.yaml --out runs/sst2 --set dataset.data_dir=sst2 --no-subsampled",
    "tfmem study configs/sst2_head.yaml --out runs/sst2_head --set dataset.data_dir=sst2",
    renamed={"--trials": "--subsampled", "--no-trials": "--no-subsampled"},
)
def study(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    subsampled: Annotated[
        bool,
        typer.Option(help="Also run the subsampled estimator, and compare self-influence with it."),
    ] = True,
    beam: BeamArgs = None,
) -> None:
    """Conduct the study of Zheng & Jiang (2022) on texts, and compare both estimators on them.

    Self-influence, the words it rests on, removal of memorized texts, typicality (where phrases
    have labels), most and least memorized texts, other seeds. What is there and unchanged is not
    made again, and what was stopped continues.
    """
    from tfmem.pipelines.runner import run_chain
    from tfmem.pipelines.text import study as chain

    settings = on_a_run(settings_of(config, set), out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(settings, out, subsampled, beam or []), out)
    done(out / "report.html", "tables and figures are in experiments beside it")


@command(
    "tfmem audit configs/digits_audit.yaml --out runs/digits_audit",
    "tfmem audit configs/digits.yaml --out runs/digits",
    "tfmem audit configs/digits.yaml --out runs/digits "
    "--set experiments.audit.similarity=0.9 --set experiments.audit.folds=0",
    "tfmem audit configs/digits_audit.yaml --out runs/audit_one "
    "--set experiments.estimator=self_influence --set selection.influence=0.02",
)
def audit(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    beam: BeamArgs = None,
) -> None:
    """Find likely label errors, rare examples to keep, and near duplicates.

    Begins with the run in DIR, which is made first if it is not there; with
    experiments.estimator=self_influence with one model, and no run. What is there and unchanged is
    not made again, and what was stopped continues.
    """
    from tfmem.components.audit import AUDIT
    from tfmem.pipelines.audit import audit as chain
    from tfmem.pipelines.runner import run_chain

    settings = on_a_run(settings_of(config, set), out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(settings, beam or []), out)
    page, table = (out / AUDIT.outputs[name].place for name in ("page", "table"))
    done(page, f"a row for each example and reason in {table}")


@command(
    "tfmem train configs/digits.yaml --out runs/digits",
    "tfmem train configs/digits.yaml --out runs/digits --set training.trials=4000",
    "tfmem train configs/cifar100_resnet50.yaml --out gs://bucket/run --worker 3/64",
    "tfmem train configs/cifar100_resnet50.yaml --out gs://bucket/run --beam "
    "--accelerator 'type:nvidia-tesla-t4;count:1;install-nvidia-driver' -- "
    "--runner=DataflowRunner --project=… --region=…",
)
def train(
    config: ConfigFile,
    out: Annotated[
        str, typer.Option(help="Folder for all outputs, or its URL.", callback=named_as_config)
    ] = str(OWN_FOLDER),
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
    from tfmem.components.train import describe
    from tfmem.datasets.summary import load_and_tell
    from tfmem.store.folders import open_folder
    from tfmem.training import Worker, check_directory, train

    settings = settings_of(config, set)
    if (worker and farm) or ((accelerator or beam) and not farm):
        raise InputError("--worker goes without --beam, --accelerator and Beam options with it")
    number = Worker.parse(worker) if worker else None
    folder = open_folder(out)
    check_directory(folder.path("predictions"), settings)
    folder.make()
    with resumable():
        if farm:
            from tfmem.pipelines.farm import farm_out

            summary = farm_out(settings, out, beam or [], accelerator)
        else:
            summary = train(settings, load_and_tell(settings.dataset), out, number)
    say(describe(summary))
    done(folder.path("predictions"), "one line a trial: " + folder.path("trials.csv"))


@command(
    "tfmem features configs/cifar100_resnet50.yaml --file features.npz",
    "tfmem run configs/cifar100_last_layer.yaml --out runs/last_layer "
    "--set dataset.data_dir=features.npz",
    renamed={"--out": "--file"},
)
def features(
    config: ConfigFile,
    file: ResultFile,
    layer: Annotated[str, typer.Option(help="The layer whose outputs are kept.")] = "features",
    set: Set = [],  # noqa: B006
) -> None:
    """Train one model on everything and store its penultimate features of all examples."""
    from tfmem.datasets import load
    from tfmem.messages.quiet import import_tensorflow
    from tfmem.training.progress import EpochProgress

    settings = settings_of(config, set)
    if file.suffix != ".npz" or not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: expected a file called .npz in a folder that is there")
    dataset = load(settings.dataset)
    import_tensorflow()
    from tfmem.training.features import write_features

    with EpochProgress(settings.training.epochs) as progress:
        outcome = write_features(settings, dataset, {layer: file}, lambda trials: progress)
    say(f"test accuracy {outcome.test_correct.mean():.2%}")
    done(file, f"train_features and test_features: the outputs of {layer!r}")


@command(
    "tfmem report runs/digits",
    "tfmem report runs/mnist --out pages/mnist --max-examples 60000",
    renamed={"--examples": "--max-examples"},
)
def report(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Also write a page with more examples: a folder with index.html, its data and its "
            "pictures.",
            show_default=False,
        ),
    ] = None,
    max_examples: Annotated[
        int,
        typer.Option(help="With --out: training, and test, examples on the page at most.", min=1),
    ] = 20_000,
) -> None:
    """Draw the figures and write the page of a run again, from the estimates that are there.

    The page is one file with up to 3,000 training examples: all, or those that matter most.
    """
    from tfmem.components.report import write_beside
    from tfmem.experiments.run import load_run
    from tfmem.pipelines.memorization import presentation
    from tfmem.pipelines.runner import run_chain

    load_run(folder).config  # noqa: B018  (refuses a folder that is no run)
    run_chain(presentation(), folder)
    if out is None:
        done(folder / "report.html")
    else:
        write_beside(folder, max_examples, out)
        done(out / "index.html", "with the files beside it")


@command(
    "tfmem figures runs/digits",
    "tfmem figures runs/cifar100 --classes bee,beaver,bottle",
)
def figures(
    folder: RunFolder,
    classes: Annotated[
        str,
        typer.Option(
            metavar="NAME,…",
            help="Classes of Figs. 1, 3 and D.5; else those with most memorized examples, and all.",
        ),
    ] = "",
) -> None:
    """Draw the figures of Feldman & Zhang (2020), and say what those that are missing take."""
    from tfmem.components.paper import PAPER, PaperFigures, contents
    from tfmem.experiments.run import load_run
    from tfmem.pipelines.runner import Step, run_chain

    load_run(folder).config  # noqa: B018  (refuses a folder that is no run)
    names = [name.strip() for name in classes.split(",") if name.strip()]
    run_chain([Step(PAPER, {"classes": names})], folder)
    for number, subject, file in contents(folder):
        say(f"Fig. {number:4} {subject:44} {file}")
    done(folder / PaperFigures.place, "PNG and PDF")


def on_a_run(settings: Config, out: Path, overrides: list[str]) -> Config:
    """The settings with all trials that a run has, where no number of them was asked for."""
    from tfmem.store.predictions import CONFIG_NAME

    path = out / "predictions" / CONFIG_NAME
    asked = any(each.split("=")[0].strip() in ("training", "training.trials") for each in overrides)
    alone = settings.experiments.estimator == "self_influence"  # which may need no trials at all
    if asked or not path.exists():
        return settings
    text = path.read_text(encoding="utf-8", errors="replace")
    there = from_yaml(text, source=str(path)).training.trials
    if there <= settings.training.trials:
        return settings
    if not alone:
        say(f"{out} has {there:,} trials, all are taken (else --set training.trials=NUMBER)")
    training = settings.training.model_copy(update={"trials": there})
    return settings.model_copy(update={"training": training})


def _begin(settings: Config, out: Path) -> None:
    """Makes the output folder, or refuses one that holds another run."""
    from tfmem.training import check_directory

    check_directory(out / "predictions", settings)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written: {error.strerror}") from None
