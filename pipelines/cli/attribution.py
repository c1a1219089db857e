"""The command that shows which words or patches an example's memorization rests on."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

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

_SHOWN = 10


@command(
    "tfmem attribute text_small --out runs/text_small --share 0.01",
    "tfmem attribute digits --out runs/digits --examples 5,17 --patch 2",
)
def attribute(
    config: ConfigFile,
    out: RunOut = OWN_FOLDER,
    share: Annotated[
        float | None,
        typer.Option(
            help="Attribute this share of the training examples, the most memorized first. Options "
            "that are left out take the settings of the section attribution.",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            help="Attribute the training examples with these indices, in place of a share.",
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(help="Number of steps of the path integral.", min=1, show_default=False),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(help="For images: side of a patch in pixels.", min=1, show_default=False),
    ] = None,
    set: Set = [],  # noqa: B006
) -> None:
    """Attribute an example's self-influence to its words or to patches of its image.

    The command uses the self-influences in --out, and estimates them first if there are none. The
    scores of an example sum to how much less probable the model would find its label if its words
    had been masked, or its image had been black, in training. The gap is the part of that sum that
    the path integral misses.
    """
    from tfmem.datasets import load
    from tfmem.experiments.checks import check_in_memory
    from tfmem.influence_functions.attribution.needs import check_attribution
    from tfmem.influence_functions.attribution.records import read_attributions
    from tfmem.pipelines.runner import run_chain
    from tfmem.pipelines.self_influence import attribution, self_influence
    from tfmem.store.artifacts import Attributions

    options = {"share": share, "examples": numbers(examples), "steps": steps, "patch": patch}
    settings = settings_of(config, [*set, *given("attribution", options)])
    check_in_memory(settings)
    check_attribution(settings, load(settings.dataset))
    with resumable():
        run_chain([*self_influence(settings), *attribution(settings)], out)
    folder = out / Attributions.place
    found = read_attributions(folder)
    listed = PlainTable("index", "memorization", "gap", "highest scores")
    for index, row in found.nlargest(_SHOWN, "memorization").iterrows():
        values = f"{row['memorization']:.4f}", f"{row['gap']:.1%}"
        listed.add(str(index), *values, _top(row["words"], row["scores"]))
    present(listed)
    median, of = found["gap"].median(), settings.attribution.steps
    present(f"{len(found):,} examples, median gap {median:.2%} at {of} steps")
    if missing := int(found["replace"].isna().sum()):
        warn(f"the scores of {missing:,} examples did not converge and are NaN")
    done(folder, "attribution records")


def numbers(text: str | None) -> list[int] | None:
    """The integers in `text`, which commas separate."""
    if text is None:
        return None
    try:
        return [int(number) for number in text.split(",")]
    except ValueError:
        raise typer.BadParameter(f"expected numbers such as 5,17, received {text!r}") from None


def _top(words: list[str], scores: np.ndarray) -> str:
    """The four highest scores, each with its word or with its patch's row and column."""
    names = words or [f"({row}, {column})" for row, column in np.ndindex(scores.shape)]
    values = scores.ravel()
    return ", ".join(f"{names[n]} {values[n]:.3g}" for n in np.argsort(-values)[:4])
