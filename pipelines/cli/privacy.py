"""The command that attacks a run's trials: can it be told what models were trained on?"""

from __future__ import annotations

from typing import Annotated

import typer

from tfmem.messages.numbers import three
from tfmem.messages.terminal import PlainTable, present
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import RunFolder, done, settings_of
from tfmem.pipelines.cli.stopping import resumable


@command(
    "tfmem privacy runs/digits",
    "tfmem privacy runs/digits --top 50",
    "tfmem experiment onion digits --out runs/digits",
)
def privacy(
    folder: RunFolder,
    top: Annotated[
        int, typer.Option(help="Number of examples to show, the most exposed first.", min=0)
    ] = 10,
) -> None:
    """Attack the trials of a run: can it be told which examples a model was trained on?

    The likelihood-ratio attack (LiRA, Carlini et al. 2022) attacks every trial, with all others as
    shadow models. It needs margins or scores, which records hold unless training.probabilities is
    false. A run that is not finished is finished first.
    """
    from tfmem.experiments.membership import EXPOSED
    from tfmem.experiments.privacy import EXPOSURE_NAME
    from tfmem.pipelines.cli.running import on_a_run
    from tfmem.pipelines.experiments import experiment as chain
    from tfmem.pipelines.opened import load_run
    from tfmem.pipelines.runner import run_chain
    from tfmem.store.artifacts import outcome_of
    from tfmem.store.spreadsheets import read_csv

    load_run(folder)  # refuses what is no folder
    settings = on_a_run(settings_of(folder, []), folder, [])
    with resumable():
        run_chain(chain("privacy", settings, folder, []), folder)
    place = folder / outcome_of("privacy").place
    if top:
        table = read_csv(place / EXPOSURE_NAME, (EXPOSED, "separation"))
        shown = PlainTable("index", "label", "found out", "95% interval", "separation", "mem")
        ranked = table.sort_values([EXPOSED, "separation"], ascending=False, kind="stable")
        for row in ranked.head(top).to_dict("records"):
            low, high = (row[f"{EXPOSED}_{end}"] for end in ("low", "high"))
            shown.add(
                f"{row['index']:.0f}", f"{row['label']:.0f}", f"{row[EXPOSED]:.1%}",
                f"{low:.1%} to {high:.1%}", f"{row['separation']:.2f}", three(row["memorization"]),
            )  # fmt: skip
        present("The most exposed examples, and in how many of their models they are found out:")
        present(shown)
    done(place, f"{EXPOSURE_NAME}, table.csv, figure.png, figure.pdf; also in the page")
