"""Commands that are useful before a run: its plan, and near duplicates in its data."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from tfmem.messages.errors import InputError
from tfmem.messages.terminal import present, say
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    ConfigFile,
    ResultFile,
    Set,
    done,
    settings_of,
)

if TYPE_CHECKING:
    pass

Number = TypeVar("Number", int, float)


class CandidatePairs(str, Enum):
    """The pairs of a training and a test example among which influences are looked for."""

    SAME_CLASS = "same-class"
    ALL = "all"


@command(
    "tfmem plan digits --time-trials 100 --out plans/digits",
    "tfmem plan cifar100_resnet50 --sizes 50000,10000,100 --expected-pairs 1000 --influence 0.1",
    "tfmem plan imagenet_resnet50 --sizes 1281167,50000,1000 --pairs all "
    "--trial-hours 50 --machines 64",
    renamed={"--examples": "--sizes"},
)
def plan(
    config: ConfigFile,
    out: Annotated[
        Path | None, typer.Option(help="Folder for plan.json and the figure.", show_default=False)
    ] = None,
    set: Set = [],  # noqa: B006
    sizes: Annotated[
        str | None,
        typer.Option(
            metavar="TRAIN,TEST,CLASSES",
            help="Numbers of training examples, test examples and classes. Without them the data "
            "set is opened.",
            show_default=False,
        ),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(
            help="The influence that the run should find. By default selection.influence."
        ),
    ] = None,
    fdr: Annotated[float, typer.Option(help="False discovery rate of the selected pairs.")] = 0.05,
    expected_pairs: Annotated[
        int,
        typer.Option(help="Number of pairs that you expect the run to find; 1 assumes nothing."),
    ] = 1,
    pairs: Annotated[
        CandidatePairs,
        typer.Option(
            help="Search pairs of one class, or all pairs of a training and a test example."
        ),
    ] = CandidatePairs.SAME_CLASS,
    trials: Annotated[
        str, typer.Option(metavar="T,T,…", help="Numbers of trials to compare.")
    ] = "500,1000,2000,4000,8000",
    fractions: Annotated[
        str, typer.Option(metavar="M/N,…", help="Subset fractions to compare.")
    ] = "0.5,0.6,0.7,0.8,0.9",
    time_trials: Annotated[
        int,
        typer.Option(
            help="Number of trials to train, so that their time is measured; 0 trains none.", min=0
        ),
    ] = 0,
    trial_hours: Annotated[
        float | None,
        typer.Option(help="Hours that a trial takes, if you know.", show_default=False),
    ] = None,
    machines: Annotated[
        int, typer.Option(help="Number of machines that train at the same time.")
    ] = 1,
) -> None:
    """Show what a run will find and cost, before anything is trained."""
    from tfmem.pipelines.plan import (
        LEGEND,
        details,
        plan_run,
        plan_table,
        recommendation,
        write_plan,
    )
    from tfmem.planning import Question

    settings = settings_of(config, set)
    question = Question(
        influence=settings.selection.least_influence if influence is None else influence,
        fdr=fdr,
        discoveries=expected_pairs,
        pairs=pairs.value,
    )
    made = plan_run(
        settings,
        question,
        trials=_numbers("--trials", trials, int),
        fractions=_numbers("--fractions", fractions, float),
        sizes=_numbers("--sizes", sizes, int) if sizes is not None else None,
        time_trials=time_trials,
        trial_hours=trial_hours,
        machines=machines,
    )
    present(recommendation(made) + "\n")
    present(plan_table(made))
    present(LEGEND)
    present(details(made))
    if out:
        write_plan(made, out)
        done(out / "plan.json", "and plan.png, plan.pdf")


def _numbers(option: str, text: str, kind: Callable[[str], Number]) -> list[Number]:
    """The numbers in `text`, the value of `option`, which commas separate."""
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected numbers between commas, received {text!r}") from None


@command(
    "tfmem duplicates digits --file digits-groups.csv --threshold 0.9",
    "tfmem duplicates cifar100_resnet50 --file cifar-groups.csv "
    "--set dataset.data_dir=~/cifar-100-binary",
    renamed={"--out": "--file"},
)
def duplicates(
    config: ConfigFile,
    file: ResultFile,
    threshold: Annotated[
        float,
        typer.Option(
            help="Similarity from which two images count as near duplicates.", min=0.01, max=1
        ),
    ] = 0.85,
    set: Set = [],  # noqa: B006
) -> None:
    """Find training images that are near duplicates of each other or of test images.

    FILE.csv lists the groups of training examples, FILE-pairs.csv the pairs in them, FILE-test.csv
    the pairs of a test and a training example. Look at some of the pairs: in data whose images all
    look alike, such as MNIST, the threshold must be higher.
    """
    import numpy as np

    from tfmem.datasets import load
    from tfmem.datasets.duplicates import find_duplicates, write_duplicates

    settings = settings_of(config, set)
    if file.suffix != ".csv" or not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: expected a name that ends in .csv, in an existing folder")
    dataset = load(settings.dataset)
    found = find_duplicates(dataset, threshold)
    write_duplicates(found, file)
    labels = dataset.train_labels
    mixed = sum(np.ptp(labels[members]) > 0 for members in found.groups.values())
    largest = max(map(len, found.groups.values()), default=0)
    joined = sum(map(len, found.groups.values()))
    say(
        f"{len(found.train):,} pairs of training examples, in {len(found.groups):,} groups of "
        f"{joined:,} examples (the largest has {largest:,}); {mixed:,} groups have several labels"
    )
    say(f"{found.test['test_index'].nunique():,} test examples are like a training example")
    done(file, "columns index and group; the pairs are in the files beside it")
