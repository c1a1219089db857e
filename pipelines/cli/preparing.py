"""Commands for before a run: what it will cost, and what is in the data."""

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
    """Which pairs of a training and a test example are looked at."""

    SAME_CLASS = "same-class"
    ALL = "all"


@command(
    "tfmem plan configs/digits.yaml --time-trials 100 --out plans/digits",
    "tfmem plan configs/cifar100_resnet50.yaml --sizes 50000,10000,100 "
    "--expected-pairs 1000 --influence 0.1",
    "tfmem plan configs/imagenet_resnet50.yaml --sizes 1281167,50000,1000 --pairs all "
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
            help="Sizes, instead of those of the data set, which is then not needed.",
            show_default=False,
        ),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(help="What is to be found; by default selection.influence."),
    ] = None,
    fdr: Annotated[float, typer.Option(help="False-discovery rate at which.")] = 0.05,
    expected_pairs: Annotated[
        int, typer.Option(help="How many pairs you expect to find; 1 assumes nothing.")
    ] = 1,
    pairs: Annotated[
        CandidatePairs, typer.Option(help="Among which pairs.")
    ] = CandidatePairs.SAME_CLASS,
    trials: Annotated[
        str, typer.Option(metavar="T,T,…", help="Numbers of trials to compare.")
    ] = "500,1000,2000,4000,8000",
    fractions: Annotated[
        str, typer.Option(metavar="M/N,…", help="Subset fractions to compare.")
    ] = "0.5,0.6,0.7,0.8,0.9",
    time_trials: Annotated[
        int, typer.Option(help="Train so many trials to measure their time; 0: none.", min=0)
    ] = 0,
    trial_hours: Annotated[
        float | None,
        typer.Option(help="Hours that a trial takes, where you know.", show_default=False),
    ] = None,
    machines: Annotated[int, typer.Option(help="Machines that train side by side.")] = 1,
) -> None:
    """Say what a run will show and cost, before anything is trained."""
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
        influence=settings.selection.influence if influence is None else influence,
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
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected numbers between commas, received {text!r}") from None


@command(
    "tfmem duplicates configs/digits.yaml --file digits-groups.csv --threshold 0.9",
    "tfmem duplicates configs/cifar100_resnet50.yaml --file cifar-groups.csv "
    "--set dataset.data_dir=~/cifar-100-binary",
    renamed={"--out": "--file"},
)
def duplicates(
    config: ConfigFile,
    file: ResultFile,
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
    from tfmem.datasets.duplicates import find_duplicates, write_duplicates

    settings = settings_of(config, set)
    if file.suffix != ".csv" or not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: expected a file called .csv in a folder that is there")
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
    done(file, "index,group; the pairs are beside it")
