"""Commands that predict models from their subsets, and judge attributions by it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from tfmem.config import Statistic
from tfmem.messages.numbers import three
from tfmem.messages.terminal import PlainTable, present, say
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import RunFolder, Set, done, settings_of

OutputOption = Annotated[
    Statistic | None,
    typer.Option(
        help="The output of models that is predicted: the margin log(p / (1 - p)) of the true "
        "label, its probability p, its negative loss log p, whether they predict it, or the score "
        "that records hold. By default score, if records hold one, else margin.",
        show_default=False,
    ),
]
Holdout = Annotated[
    float | None,
    typer.Option(
        help="Share of the subsets that judge, and from whose models no attribution is made. By "
        "default 0.2 if attributions are made from trials, and otherwise all judge.",
        show_default=False,
        min=0,
        max=1,
    ),
]


@command(
    "tfmem lds influence datamodel self-influence --run runs/digits",
    "tfmem lds trak tracin influence-functions --run runs/digits",
    "tfmem lds trak --run runs/digits --set gradient_attribution.models=20",
    "tfmem lds trak self-influence --run runs/digits --config my.yaml",
    "tfmem lds scores.npy --run runs/digits",
    "tfmem lds trak.safetensors --name scores --order test-train --run runs/digits",
)
def lds(
    scores: Annotated[
        list[str],
        typer.Argument(
            metavar="SCORES",
            help="Attributions [train, test] or [test, train] in a file (.npy, .npz, .parquet, "
            ".zarr, .safetensors); or influence, datamodel, sparse-datamodel, self-influence, "
            "trak, tracin or influence-functions of the run.",
            show_default=False,
        ),
    ],
    run: Annotated[
        Path, typer.Option("--run", metavar="DIR", help="Folder of a run.", show_default=False)
    ],
    order: Annotated[
        Literal["auto", "train-test", "test-train"],
        typer.Option(help="Which axis of the file is which; auto goes by the shape."),
    ] = "auto",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the array, or column, in a file.", show_default=False),
    ] = None,
    holdout: Holdout = None,
    statistic: OutputOption = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the tables. By default DIR/lds.", show_default=False),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="CONFIG",
            help="Settings of the models that are trained for attributions, and of their methods: "
            "the file that the run was made with, whose sections self_influence and "
            "gradient_attribution the run does not keep. By default those of the run.",
            show_default=False,
        ),
    ] = None,
    set: Set = [],  # noqa: B006
) -> None:
    """Judge attributions by the linear datamodeling score (Park et al. 2023, TRAK).

    For each test example, the attributions of the training examples in a subset are summed. The
    score is the rank correlation of these sums with the outputs of the models that were trained on
    the subsets; the mean over test examples is shown, with an interval. The ceiling is what a
    perfect prediction would score in spite of the noise of training; it is known if several models
    were trained on each subset (training.repeats).
    """
    from tfmem.pipelines.attributing import judge, write_judged

    settings = settings_of(config or run, list(set), run) if config or set else None
    found = judge(
        run,
        scores,
        statistic=statistic,
        holdout=holdout,
        order=order,
        name=name,
        config=settings,
    )
    say(found[0].judges)
    shown = PlainTable("attributions", "LDS", "95% interval", "ceiling", "models", left=1)
    for each in found:
        score = each.score
        shown.add(
            each.name,
            three(score.value),
            f"{three(score.low)} to {three(score.high)}",
            three(score.ceiling_value),
            "unknown" if each.made_from is None else f"{each.made_from:,}",
        )
    present(shown)
    for each in found:
        if each.score.without_scores:
            say(
                f"{each.name}: the attributions of {each.score.without_scores:,} test examples "
                "predict nothing, which counts as 0"
            )
    place = out or run / "lds"
    write_judged(found, place)
    done(place, "scores.csv; tests.csv has a row for each test example")


@command(
    "tfmem datamodels runs/digits",
    "tfmem datamodels runs/digits --method lasso",
    "tfmem lds runs/digits/datamodels/weights.npy --run runs/other",
)
def datamodels(
    folder: RunFolder,
    method: Annotated[
        Literal["ridge", "lasso"],
        typer.Option(
            help="ridge is in closed form, with standard errors; lasso is sparse, with the share "
            "of halves of the subsets in which a weight is not 0."
        ),
    ] = "ridge",
    holdout: Annotated[
        float,
        typer.Option(
            help="Share of the subsets that datamodels are not fitted to, but judged by; 0 fits to "
            "all.",
            min=0,
            max=1,
        ),
    ] = 0.2,
    statistic: OutputOption = None,
    top: Annotated[
        int,
        typer.Option(help="Training examples of each test example in strongest.csv.", min=1),
    ] = 20,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the datamodels. By default DIR/datamodels.", show_default=False
        ),
    ] = None,
) -> None:
    """Predict the output of models for each test example from their subsets (Ilyas et al. 2022).

    A datamodel is a linear function of which training examples are in the subset. Its penalty is
    chosen for each test example on subsets left out.
    """
    from tfmem.pipelines.datamodels import fit, write

    fitted = fit(folder, method, holdout, statistic)
    say(
        f"fitted to the {fitted.held.measure} of {len(fitted.given.each):,} models on "
        f"{len(fitted.given):,} subsets"
    )
    if (score := fitted.score) is not None:
        present(
            f"LDS {three(score.value)} ({three(score.low)} to {three(score.high)}) on "
            f"{score.subsets:,} subsets held out"
        )
    place = out or folder / "datamodels"
    write(fitted, place, top)
    done(place, "weights.npy [train, test], tests.csv, strongest.csv, datamodels.json")
