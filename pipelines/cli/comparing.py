"""Commands that compare estimates."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfmem.config import SelectionSettings
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import present, warn
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import Out, Set, done, settings_of
from tfmem.pipelines.cli.stopping import resumable


@command(
    "tfmem consistency runs/digits",
    "tfmem consistency runs/resnet50 runs/resnet18 runs/densenet --out architectures",
    "tfmem consistency runs/digits/memorization runs/digits/self_influence/fast --out estimators",
    "tfmem consistency runs/resnet50 runs/last_layer --no-memorization-condition "
    "--other-inputs --out last_layer",
)
def consistency(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR",
            help="Output folders of runs, or folders with memorization records of any estimator.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the figure and the tables. By default DIR/consistency for one run; "
            "for several, comparison in the first DIR.",
            show_default=False,
        ),
    ] = None,
    memorization: Annotated[
        float | None,
        typer.Option(
            help="Least memorization of a pair's training example; of a score, in standard "
            "deviations. By default the threshold of the first run.",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    influence: Annotated[
        float | None,
        typer.Option(
            help="Least influence of a pair that is counted; of a score, in standard deviations. "
            "By default the threshold of the first run.",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    condition: Annotated[
        bool,
        typer.Option(
            "--memorization-condition/--no-memorization-condition",
            help="Whether a pair counts for a run only if the run's own estimate says that its "
            "training example is memorized.",
        ),
    ] = True,
    other_inputs: Annotated[
        bool,
        typer.Option(
            "--other-inputs",
            help="Compare runs that see the same examples in different forms, such as images and "
            "features. Only their labels must agree.",
        ),
    ] = False,
) -> None:
    """Compare the estimates of the first run with those of each other run, or one run's halves.

    Of the examples or pairs that either side estimates at or above a threshold, J is the share that
    both sides do, and D the mean difference of the two estimates. One run is compared with itself:
    the first half of its trials with the second. Memorization records without trials are also
    compared by rank; of the thresholds only --memorization applies to them.
    """
    if any(any(folder.glob("memorization-*.tfrecord")) for folder in folders):
        _compare_records(folders, out, memorization)
        return
    from tfmem.components.comparison import compare
    from tfmem.experiments.consistency import Rule, describe, rule_of
    from tfmem.pipelines.consistency import agreement_table, conclusion, error_table
    from tfmem.store.artifacts import Predictions

    rule = rule_of(_selection(folders[0]), folders[0] / Predictions.place, condition)
    rule = Rule(
        rule.memorization if memorization is None else memorization,
        rule.influence if influence is None else influence,
        condition,
    )
    place = out or folders[0] / ("comparison" if len(folders) > 1 else "consistency")
    for comparison in compare(folders, place, rule, other_inputs):
        present(f"first: {describe(comparison.first)}\nsecond: {describe(comparison.second)}\n")
        present(agreement_table(comparison))
        present("")
        present(error_table(comparison, halves=len(folders) == 1))
        present("")
        for line in conclusion(comparison):
            present(line)
        if comparison.shared_subsets and len(folders) > 1:
            warn(
                f"{comparison.shared_subsets:,} trials of {comparison.second.name} have the subset "
                f"of one of {comparison.first.name} (the same seed): independent runs differ more"
            )
    done(place, "consistency.png, consistency.pdf, consistency.csv, errors.csv")


def _compare_records(folders: list[Path], out: Path | None, threshold: float | None) -> None:
    from tfmem.experiments.record_consistency import curves, record_consistency
    from tfmem.figures import save
    from tfmem.figures.records import records_figure
    from tfmem.store.artifacts import Memorization

    if out is None:
        raise InputError("--out: expected a folder, because memorization records are compared")
    least = SelectionSettings().least_memorization if threshold is None else threshold
    of_runs = [folder / Memorization.place for folder in folders]
    places = [
        of_run if of_run.is_dir() else folder
        for folder, of_run in zip(folders, of_runs, strict=True)
    ]
    compared = record_consistency(places, out, least)
    save(records_figure(curves(compared), least), out, "consistency")
    for each in compared:
        present(each.said)
    done(out, "consistency.png, consistency.pdf, consistency.csv")


def _selection(folder: Path) -> SelectionSettings:
    """The thresholds of a run's selection, or the paper's if the folder has none."""
    from tfmem.experiments.run import load_run

    if folder.is_dir() and (run := load_run(folder)).has_labels:
        return run.config.selection
    return SelectionSettings()


@command(
    "tfmem compare digits digits_cnn --out runs/comparison --set training.trials=400",
    "tfmem compare cifar100_resnet50 cifar100_resnet18 "
    "cifar100_densenet100 --out runs/architectures --set dataset.data_dir=FOLDER",
)
def compare(
    configs: Annotated[
        list[Path],
        typer.Argument(
            metavar="CONFIG",
            help="YAML files with settings, all of the same data set. The first run is compared "
            "with each of the others.",
            show_default=False,
        ),
    ],
    out: Out,
    set: Set = [],  # noqa: B006
    last_layer: Annotated[
        bool,
        typer.Option(
            "--last-layer/--no-last-layer",
            help="Whether the last layer of the first model is also trained alone.",
        ),
    ] = True,
) -> None:
    """Run several architectures, and one last layer alone, and compare what they memorize.

    Each run has a folder in --out, named after its YAML file; --set changes the settings of all
    runs. Steps that are finished and unchanged are skipped, and an interrupted step continues.
    """
    from tfmem.pipelines.comparison import comparison

    settings = {path.stem: settings_of(path, set, out / path.stem) for path in configs}
    if len(settings) < len(configs):
        raise InputError("CONFIG…: expected files with different names, as folders are named alike")
    with resumable():
        comparison(settings, out, last_layer)
    done(
        out / "comparison.html",
        f"table.csv and figures are in {out / 'comparison'}; each run has a page",
    )
