"""The command that estimates memorization from one model."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from tfmem.messages.numbers import three
from tfmem.messages.terminal import PlainTable, present, warn
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import (
    OWN_FOLDER,
    ConfigFile,
    RunOut,
    Set,
    done,
    given,
    settings_of,
)
from tfmem.pipelines.cli.stopping import resumable


class SolverName(str, Enum):
    """The solver that inverts the curvature."""

    FAST = "fast"
    CG = "cg"
    EXACT = "exact"
    LISSA = "lissa"


class CurvatureName(str, Enum):
    """The curvature that is inverted."""

    GAUSS_NEWTON = "gauss_newton"
    HESSIAN = "hessian"


@command(
    "tfmem self-influence digits --out runs/digits",
    "tfmem self-influence digits --out runs/digits --solver exact --layer logits",
    "tfmem self-influence digits --out runs/digits --solver cg --damping 0.1",
    "tfmem self-influence sst2 --out runs/sst2 --set model.trained_layers=1",
    "tfmem self-influence digits --out runs/digits --pairs "
    "--set selection.memorization=0.01 --set selection.top_k=1",
)
def self_influence(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    solver: Annotated[
        SolverName | None,
        typer.Option(
            help="fast solves for all examples at once, in a sketch; cg solves to a tolerance; "
            "exact is for small heads; lissa is the solver of Zheng & Jiang (2022). Options that "
            "are left out take the settings of the section self_influence.",
            show_default=False,
        ),
    ] = None,
    damping: Annotated[
        float | None,
        typer.Option(
            help="Number added to the diagonal of the curvature. By default each solver has its "
            "own.",
            show_default=False,
            min=0,
        ),
    ] = None,
    curvature: Annotated[
        CurvatureName | None,
        typer.Option(
            help="The curvature that is inverted. By default hessian for lissa, gauss_newton for "
            "the others.",
            show_default=False,
        ),
    ] = None,
    curvature_examples: Annotated[
        int | None,
        typer.Option(
            help="Average the curvature over this many training examples, drawn at random; by "
            "default over all. Fewer examples save cg and exact time, but lower the estimates of "
            "those that are drawn.",
            show_default=False,
            min=1,
        ),
    ] = None,
    sketch: Annotated[
        int | None,
        typer.Option(
            help="For fast: length of the sketch of a gradient, by default 2,048. The error falls "
            "with the square root of this length, while memory and time grow.",
            show_default=False,
            min=1,
        ),
    ] = None,
    layer: Annotated[
        list[str],
        typer.Option(
            help="Use only the variables of this layer. May be repeated.", show_default=False
        ),
    ] = [],  # noqa: B006
    trial: Annotated[
        int | None,
        typer.Option(
            help="Train the model with the seeds of this trial.", min=0, show_default=False
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of rows of the table.", min=1)] = 20,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="Also estimate influence on test examples in the same model, select pairs by the "
            "settings of the section selection, and draw them.",
        ),
    ] = False,
    set: Set = [],  # noqa: B006
) -> None:
    """Estimate memorization from one model, by influence functions.

    The command trains one model on all training examples and estimates, for each example, how much
    less probable the model would find its label if the example had been left out. The model is
    kept: the same command continues where it stopped, and other solvers use the same model.
    """
    from tfmem.pipelines.runner import run_chain
    from tfmem.pipelines.self_influence import influence_pairs, records, self_influence
    from tfmem.store.artifacts import InfluencePairs
    from tfmem.store.results import read_memorization, read_summary

    options = {
        "solver": solver and solver.value,
        "damping": damping,
        "curvature": curvature and curvature.value,
        "curvature_examples": curvature_examples,
        "sketch": sketch,
        "layers": list(layer) or None,
        "trial": trial,
    }
    settings = settings_of(config, [*set, *given("self_influence", options)])
    with resumable():
        steps = influence_pairs(settings) if pairs else []
        run_chain([*self_influence(settings), *steps], out)
    folder = out / records(settings).place
    summary = read_summary(folder)
    ranked = read_memorization(folder).dropna(subset="memorization")
    listed = PlainTable("index", "label", "memorization")
    for row in ranked.nlargest(top, "memorization").itertuples():
        listed.add(str(row.Index), str(row.label), three(row.memorization))
    present(listed)
    present(
        f"test accuracy {summary['test_accuracy']:.2%}; {summary['num_parameters']:,} parameters, "
        f"{summary['curvature']}, damping {summary['damping']:g}, {summary['seconds']:.1f} s"
    )
    if summary["not_converged"]:
        warn(f"the solver did not converge for {summary['not_converged']:,} examples: they are NaN")
    if summary.get("negative"):
        warn(
            f"{summary['negative']:,} examples have a negative self-influence: the curvature "
            "is not positive definite (use gauss_newton, or a larger damping)"
        )
    if pairs:
        found = out / InfluencePairs.place
        done(found, f"pairs and their galleries; memorization records are in {folder}")
        return
    done(folder, "memorization records; self_influence.json says how they were made")
