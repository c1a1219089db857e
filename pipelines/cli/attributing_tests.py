"""The command that shows which training examples a test prediction comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tfmem.config import TestMethod
from tfmem.messages.errors import InputError
from tfmem.messages.numbers import four
from tfmem.messages.terminal import PlainTable, present, say
from tfmem.pipelines.cli.attributing import OutputOption
from tfmem.pipelines.cli.attribution import numbers
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import OWN_FOLDER, ConfigFile, RunOut, Set, done, settings_of
from tfmem.pipelines.cli.stopping import resumable

if TYPE_CHECKING:
    import pandas as pd


@command(
    "tfmem attribute-test runs/digits --test 5,17",
    "tfmem attribute-test runs/digits --test 5,17 --method trak --top 8",
    "tfmem attribute-test digits --test 5 --method self-influence --file attributed.parquet",
)
def attribute_test(
    config: ConfigFile,
    test: Annotated[
        str, typer.Option(help="Numbers of test examples, such as 5,17.", show_default=False)
    ],
    method: Annotated[
        TestMethod,
        typer.Option(
            help="influence, datamodel and sparse-datamodel compare the trials of a run; the rest "
            "take gradients of models that are trained for them: self-influence of one, trak and "
            "influence-functions of several, tracin of one in the course of its training."
        ),
    ] = "influence",
    top: Annotated[
        int, typer.Option(help="Most training examples on either side.", min=1, max=100)
    ] = 8,
    file: Annotated[
        Path | None,
        typer.Option(
            help="Also write the table to this file: .csv, .parquet or .json.", show_default=False
        ),
    ] = None,
    statistic: OutputOption = None,
    out: RunOut = OWN_FOLDER,
    set: Set = [],  # noqa: B006
) -> None:
    """Show the training examples that help and that harm a test example most.

    Scores are positive where the training example helps. Those of trials have standard errors. The
    figure, the table and a section of the page show the test examples that were asked for last; the
    figure has up to four training examples on either side.
    """
    if file is not None:
        _check_file(file)
    chosen = numbers(test) or []
    settings = settings_of(config, list(set), out, lambda config: "gradients of models")
    from tfmem.pipelines.attributed_tests import scores_for, show
    from tfmem.store.artifacts import AttributedTests
    from tfmem.store.files import write_atomically

    with resumable():
        found = scores_for(method, settings, out, chosen, statistic)
        table = show(found, settings, out, top)
    for index in found.tests.tolist():
        rows = table[table["test_index"] == index]
        if rows.empty:
            present(f"Test example {index}: all scores are 0 or unknown")
            continue
        with_error, with_id = "stderr" in rows, "train_id" in rows
        heads = ["effect", "index", *(["id"] if with_id else []), "label", "score"]
        listed = PlainTable(*heads, *(["error"] if with_error else []), left=1)
        for row in rows.to_dict("records"):
            listed.add(
                row["effect"], str(row["train_index"]),
                *([str(row["train_id"])] if with_id else []), str(row["train_label"]),
                four(row["score"]), *([four(row["stderr"])] if with_error else []),
            )  # fmt: skip
        present(f"Test example {index} ({rows['test_label'].iloc[0]}):")
        present(listed)
    say(f"scores by {found.method}, from {found.made_from}")
    if file is not None:
        try:
            write_atomically(file, contents(table, file.suffix))
        except OSError as error:
            raise InputError(f"{file}: cannot be written: {error.strerror}") from None
    done(out / AttributedTests.place, "table.csv, figure.png, figure.pdf; also in the page")


def _check_file(file: Path) -> None:
    """Refuses a file for the table that could not be written, before any work."""
    if file.suffix not in (".csv", ".parquet", ".json"):
        raise InputError(f"--file: expected .csv, .parquet or .json, received {file}")
    if not file.absolute().parent.is_dir():
        raise InputError(f"--file {file}: expected an existing folder, there is none")


def contents(table: pd.DataFrame, suffix: str) -> bytes:
    """The table in the form that the suffix of its file names."""
    from tfmem.store.spreadsheets import to_csv

    if suffix == ".csv":
        return to_csv(table)
    if suffix == ".parquet":
        return table.to_parquet(index=False)
    known = table.astype(object).where(table.notna(), None)  # JSON has no NaN
    return json.dumps(known.to_dict("records"), indent=1, allow_nan=False).encode() + b"\n"
