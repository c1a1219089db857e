"""Arguments and options that several commands have, and the settings that they name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from tfmem.config import Config, DatasetSettings, from_yaml
from tfmem.config.parsing import LONGEST, parse_yaml
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say


def _checked(words: list[str] | None) -> list[str] | None:
    """Refuses options that Beam does not have before anything else is done."""
    if words:
        from tfmem.aggregation.runners import beam_options

        beam_options(words)
    return words


ConfigFile = Annotated[Path, typer.Argument(help="Settings in YAML.", show_default=False)]
Out = Annotated[Path, typer.Option("--out", help="Folder for all outputs.", show_default=False)]
ResultFile = Annotated[
    Path, typer.Option("--file", help="The file to write.", metavar="FILE", show_default=False)
]
Set = Annotated[
    list[str],
    typer.Option("--set", metavar="KEY=VALUE", help="Change a setting; may be repeated."),
]
BeamArgs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- BEAM OPTIONS]",
        help="Passed on to Apache Beam.",
        show_default=False,
        callback=_checked,
    ),
]


def _bytes(text: str) -> int:
    try:
        return TypeAdapter(ByteSize).validate_python(text)
    except ValidationError:
        raise typer.BadParameter(f"expected a size such as 6GiB, received {text!r}") from None


Memory = Annotated[
    int | None,
    typer.Option(
        help="What a job on this machine may take, such as 6GiB; it then reads its input as often "
        "as that needs. Else most of what is free.",
        metavar="SIZE",
        parser=_bytes,
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Output folder of a run.", show_default=False)
]
DatasetName = Annotated[
    str | None,
    typer.Option(
        "--dataset", help="Name of a data set, as in a configuration.", show_default=False
    ),
]
DataDir = Annotated[
    str | None,
    typer.Option("--data-dir", help="Where the data set is.", show_default=False),
]


def settings_of(path: Path, overrides: list[str]) -> Config:
    """The settings in a file, with those of `--set`."""
    from tfmem.training.digests import with_digests

    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a configuration in UTF-8: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    if parse_yaml(text, str(path)) is None:
        raise InputError(
            f"{path}: is empty: expected settings (one that says {{}} takes all defaults)"
        )
    return with_digests(from_yaml(text, overrides, str(path)))


def given(section: str, options: Mapping[str, Any]) -> list[str]:
    """Options of a command that were given, as words of `--set` for a section of the settings."""
    return [
        f"{section}.{name}={json.dumps(value)}"
        for name, value in options.items()
        if value is not None
    ]


def dataset_settings(name: str, data_dir: str | None) -> DatasetSettings:
    """Settings of a data set that options name."""
    return DatasetSettings(name=name, data_dir=data_dir)


def done(place: str | Path, more: str = "") -> None:
    """The last line: where the results are."""
    say(f"Results: {place}" + (f" ({more})" if more else ""))
