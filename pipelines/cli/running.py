"""Commands that train models, and those that run a whole chain of steps."""

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
    by_tensorflow,
    done,
    named_as_config,
    settings_of,
)
from tfmem.pipelines.cli.stopping import resumable


def _experiment_name(text: str) -> str:
    """The present name of the experiment that a user called `text`, or a usage error."""
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
    "tfmem run digits --out runs/digits",
    "tfmem run digits --out runs/small --set training.trials=500",
    "tfmem run mnist_demo --out runs/mnist --set dataset.data_dir=~/mnist -- "
    "--direct_running_mode=multi_processing --direct_num_workers=2",
)
def run(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    beam: BeamArgs = None,
) -> None:
    """Train, estimate, select pairs, draw figures and write a page.

    Steps that are finished and unchanged are skipped, and an interrupted run continues.
    """
    from tfmem.aggregation.runners import beam_options, goes_to_dataflow
    from tfmem.pipelines.memorization import memorization
    from tfmem.pipelines.runner import run_chain

    settings = settings_of(config, set, out)
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
    "tfmem experiment removal digits --out runs/digits",
    "tfmem experiment removal digits --out runs/digits --set experiments.removal.repeats=50",
    "tfmem experiment removal digits --out runs/digits-one "
    "--set experiments.estimator=self_influence",
    listed=_listed,
)
def experiment(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of an experiment from the list below.",
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
    """Conduct an experiment on a run's estimates, after making the run if it does not exist.

    With experiments.estimator=self_influence, experiments that need only memorization take it from
    one model, and no run is made. The experiment removal is followed by pair-utility if there is a
    run.

    Steps that are finished and unchanged are skipped, and an interrupted step continues. The
    outcome for earlier settings stays until the new one is complete.
    """
    from tfmem.pipelines.experiments import experiment as chain
    from tfmem.pipelines.runner import run_chain
    from tfmem.store.artifacts import outcome_of

    settings = on_a_run(settings_of(config, set, out, by_tensorflow(name)), out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(name, settings, out, beam or []), out)
    done(
        out / outcome_of(name).place,
        f"table.csv, figure.png, figure.pdf; also in {out / 'report.html'}",
    )


@command(
    "tfmem study sst2 --out runs/sst2 --set dataset.data_dir=sst2 --no-subsampled",
    "tfmem study sst2_head --out runs/sst2_head --set dataset.data_dir=sst2",
    renamed={"--trials": "--subsampled", "--no-trials": "--no-subsampled"},
)
def study(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    subsampled: Annotated[
        bool,
        typer.Option(
            help="Whether the subsampled estimator is also run and compared with self-influence."
        ),
    ] = True,
    beam: BeamArgs = None,
) -> None:
    """Conduct the study of Zheng & Jiang (2022) on texts, and compare both estimators on them.

    The study estimates self-influence, attributes it to words, removes memorized texts, measures
    typicality (if phrases have labels), lists the most and least memorized texts, and repeats the
    estimate with other seeds. Steps that are finished and unchanged are skipped, and an interrupted
    step continues.
    """
    from tfmem.pipelines.runner import run_chain
    from tfmem.pipelines.text import study as chain

    found = settings_of(config, set, out, lambda config: "self-influences")
    settings = on_a_run(found, out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(settings, out, subsampled, beam or []), out)
    done(out / "report.html", "tables and figures are in experiments beside it")


@command(
    "tfmem audit digits_audit --out runs/digits_audit",
    "tfmem audit digits --out runs/digits",
    "tfmem audit digits --out runs/digits "
    "--set experiments.audit.similarity=0.9 --set experiments.audit.folds=0",
    "tfmem audit digits_audit --out runs/audit_one "
    "--set experiments.estimator=self_influence --set selection.influence=0.02",
)
def audit(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
    beam: BeamArgs = None,
) -> None:
    """Find likely label errors, rare examples to keep, and near duplicates.

    The audit starts from the estimates of the run in --out, which is made first if it does not
    exist. With experiments.estimator=self_influence it starts from one model, and no run is made.
    Steps that are finished and unchanged are skipped, and an interrupted step continues.
    """
    from tfmem.components.audit import AUDIT
    from tfmem.pipelines.audit import audit as chain
    from tfmem.pipelines.runner import run_chain

    settings = on_a_run(settings_of(config, set, out, by_tensorflow()), out, set)
    _begin(settings, out)
    with resumable():
        run_chain(chain(settings, beam or []), out)
    page, table = (out / AUDIT.outputs[name].place for name in ("page", "table"))
    done(page, f"{table} has a row for each example and reason")


@command(
    "tfmem train digits --out runs/digits",
    "tfmem train digits --out runs/digits --set training.trials=4000",
    "tfmem train cifar100_resnet50 --out gs://bucket/run --worker 3/64",
    "tfmem train cifar100_resnet50 --out gs://bucket/run --beam "
    "--accelerator 'type:nvidia-tesla-t4;count:1;install-nvidia-driver' -- "
    "--runner=DataflowRunner --project=… --region=…",
)
def train(
    config: ConfigFile,
    out: Annotated[
        str,
        typer.Option(help="Folder for all outputs, or a URL of one.", callback=named_as_config),
    ] = str(OWN_FOLDER),
    set: Set = [],  # noqa: B006
    worker: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER/COUNT",
            help="Train as worker NUMBER of COUNT; the workers share nothing but the folder.",
            show_default=False,
        ),
    ] = None,
    farm: Annotated[
        bool, typer.Option("--beam", help="Train as a Beam job, whose options follow --.")
    ] = False,
    accelerator: Annotated[
        str | None,
        typer.Option(
            help="With --beam: accelerator that each worker needs, as Dataflow writes it.",
            show_default=False,
        ),
    ] = None,
    beam: BeamArgs = None,
) -> None:
    """Train the trials of a run and write their predictions; an interrupted run continues.

    Workers can be added, lost and restarted at any time: when a worker is lost, another one takes
    over its shard of trials, and no trial is counted twice.
    """
    from tfmem.components.train import describe
    from tfmem.datasets.summary import load_and_tell
    from tfmem.store.folders import open_folder
    from tfmem.training import Worker, check_directory, train

    settings = settings_of(config, set, out)
    if (worker and farm) or ((accelerator or beam) and not farm):
        raise InputError(
            "--worker and --beam exclude each other; --accelerator and Beam options need --beam"
        )
    settings.check_trainable("tfmem train")
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
    done(folder.path("predictions"), folder.path("trials.csv") + " has one line for each trial")


@command(
    "tfmem features cifar100_resnet50 --file features.npz",
    "tfmem run cifar100_last_layer --out runs/last_layer --set dataset.data_dir=features.npz",
    renamed={"--out": "--file"},
)
def features(
    config: ConfigFile,
    file: ResultFile,
    layer: Annotated[str, typer.Option(help="The layer whose outputs are stored.")] = "features",
    set: Set = [],  # noqa: B006
) -> None:
    """Train one model on the whole training set and store its features of all examples."""
    from tfmem.datasets import load
    from tfmem.messages.backends import import_backend
    from tfmem.training.progress import EpochProgress

    settings = settings_of(config, set)
    settings.check_trainable("tfmem features")
    if file.suffix != ".npz" or not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: expected a name that ends in .npz, in an existing folder")
    dataset = load(settings.dataset)
    import_backend()
    from tfmem.tasks.task import accuracy
    from tfmem.training.features import write_features

    with EpochProgress(settings.training.epochs) as progress:
        outcome = write_features(settings, dataset, {layer: file}, lambda trials: progress)
    say(f"test accuracy {accuracy(outcome.test):.2%}")
    done(file, f"train_features and test_features are the outputs of layer {layer!r}")


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
            help="Also write a page with more examples into this folder: index.html, its data and "
            "its pictures.",
            show_default=False,
        ),
    ] = None,
    max_examples: Annotated[
        int,
        typer.Option(
            help="With --out: most training examples, and most test examples, on the page.", min=1
        ),
    ] = 20_000,
) -> None:
    """Draw the figures and write the page of a run again, from its existing estimates.

    The page is one file with up to 3,000 training examples. If a run has more, the page shows those
    in pairs, the memorized ones and a sample of the others.
    """
    from tfmem.components.report import write_beside
    from tfmem.pipelines.memorization import presentation
    from tfmem.pipelines.opened import with_settings
    from tfmem.pipelines.runner import run_chain

    with_settings(folder)
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
            help="Classes to show in Figs. 1, 3 and D.5. By default Fig. 1 shows the classes with "
            "the most memorized examples, Figs. 3 and D.5 all classes.",
        ),
    ] = "",
) -> None:
    """Draw the figures of Feldman & Zhang (2020), and name the commands that missing ones need."""
    from tfmem.components.paper import PAPER, PaperFigures, contents
    from tfmem.pipelines.opened import with_settings
    from tfmem.pipelines.runner import Step, run_chain

    with_settings(folder)
    names = [name.strip() for name in classes.split(",") if name.strip()]
    run_chain([Step(PAPER, {"classes": names})], folder)
    for number, subject, file in contents(folder):
        say(f"Fig. {number:4} {subject:44} {file}")
    done(folder / PaperFigures.place, "PNG and PDF")


def on_a_run(settings: Config, out: Path, overrides: list[str]) -> Config:
    """The settings with as many trials as the run in `out` has, unless `overrides` set a number."""
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
        say(f"{out}: all {there:,} trials are used (--set training.trials=NUMBER uses fewer)")
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
