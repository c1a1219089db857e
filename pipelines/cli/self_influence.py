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
    """What inverts the curvature."""

    FAST = "fast"
    CG = "cg"
    EXACT = "exact"
    LISSA = "lissa"


class CurvatureName(str, Enum):
    """Which curvature is inverted."""

    GAUSS_NEWTON = "gauss_newton"
    HESSIAN = "hessian"


@command(
    "tfmem self-influence configs/digits.yaml --out runs/digits",
    "tfmem self-influence configs/digits.yaml --out runs/digits --solver exact --layer logits",
    "tfmem self-influence configs/digits.yaml --out runs/digits --solver cg --damping 0.1",
    "tfmem self-influence configs/sst2.yaml --out runs/sst2 --set model.trained_layers=1",
    "tfmem self-influence configs/digits.yaml --out runs/digits --pairs "
    "--set selection.memorization=0.01 --set selection.top_k=1",
)
def self_influence(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    solver: Annotated[
        SolverName | None,
        typer.Option(
            help="fast: all at once, sketched; cg: to a tolerance; exact: small heads; "
            "lissa: as in Zheng & Jiang (2022). Without it self_influence.solver, likewise below.",
            show_default=False,
        ),
    ] = None,
    damping: Annotated[
        float | None,
        typer.Option(
            help="Added to the diagonal of the curvature; by default the solver's own.",
            show_default=False,
            min=0,
        ),
    ] = None,
    curvature: Annotated[
        CurvatureName | None,
        typer.Option(help="By default gauss_newton; lissa: hessian.", show_default=False),
    ] = None,
    curvature_examples: Annotated[
        int | None,
        typer.Option(
            help="Take the curvature over so many training examples, drawn at random, of which it "
            "makes less memorized ones; by default over all. It is what cg and exact spend their "
            "time on.",
            show_default=False,
            min=1,
        ),
    ] = None,
    sketch: Annotated[
        int | None,
        typer.Option(
            help="fast: numbers that a gradient is sketched to, by default 2,048. More cost memory "
            "and a factorisation, and lessen its error as their root.",
            show_default=False,
            min=1,
        ),
    ] = None,
    layer: Annotated[
        list[str],
        typer.Option(help="Only variables of this layer; may be repeated.", show_default=False),
    ] = [],  # noqa: B006
    trial: Annotated[
        int | None,
        typer.Option(help="The trial whose seeds the model has.", min=0, show_default=False),
    ] = None,
    top: Annotated[int, typer.Option(help="Rows of the table.", min=1)] = 20,
    pairs: Annotated[
        bool,
        typer.Option(
            "--pairs",
            help="Also select pairs by influence on test examples in the same model, with the "
            "thresholds of selection, and draw them.",
        ),
    ] = False,
    set: Set = [],  # noqa: B006
) -> None:
    """Estimate memorization from one model, by influence functions.

    Trains a model on all training examples, and estimates for each how much less the model would
    believe in its label had it been left out. The model is kept: the same command continues, and
    another solver takes the model that is there.
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
        warn(f"{summary['not_converged']:,} examples have not converged and are NaN")
    if summary.get("negative"):
        warn(
            f"{summary['negative']:,} examples have converged to a negative value: the curvature "
            "is not positive definite (take gauss_newton, or a larger damping)"
        )
    if pairs:
        found = out / InfluencePairs.place
        done(found, f"pairs and their galleries; memorization records are in {folder}")
        return
    done(folder, "memorization records, and how they were made in self_influence.json")
