"""Arguments and options that several commands have, and the settings that they name."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import ByteSize, TypeAdapter, ValidationError

from tfmem.config import Config, DatasetSettings, from_yaml
from tfmem.config.parsing import LONGEST, parse_yaml
from tfmem.config.shipped import shipped_names, shipped_text
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say

Place = TypeVar("Place", str, Path)


def _checked(words: list[str] | None) -> list[str] | None:
    """Refuses options that Beam does not have before anything else is done."""
    if words:
        from tfmem.aggregation.runners import beam_options

        beam_options(words)
    return words


def named_as_config(ctx: typer.Context, out: Place) -> Place:
    """A folder for outputs; where none was asked for, that of the configuration in `runs/`."""
    if str(out) != str(OWN_FOLDER):
        return out
    return type(out)(OWN_FOLDER.with_name(ctx.params["config"].stem))


OWN_FOLDER = Path("runs/CONFIG")  # the default of `RunOut`, as the help shows it
ConfigFile = Annotated[
    Path,
    typer.Argument(
        metavar="CONFIG",
        help="Settings: a YAML file, or the name of one that ships with tfmem (`tfmem configs`).",
        show_default=False,
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder for all outputs.", show_default=False)]
RunOut = Annotated[
    Path, typer.Option("--out", help="Folder for all outputs.", callback=named_as_config)
]
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


def settings_of(place: Path, overrides: list[str]) -> Config:
    """The settings in a file, or of a configuration that ships, with those of `--set`."""
    text = _text_of(place)
    if parse_yaml(text, str(place)) is None:
        raise InputError(
            f"{place}: is empty: expected settings (one that says {{}} takes all defaults)"
        )
    from tfmem.experiments import sections
    from tfmem.training.digests import with_digests  # after mistakes: it takes seconds

    return with_digests(from_yaml(text, overrides, str(place), sections))


def _text_of(place: Path) -> str:
    """What a configuration says. A file that is there goes before a name that ships."""
    name = str(place)
    if name in shipped_names() and (place.is_dir() or not place.exists()):
        return shipped_text(name, name)
    try:
        with place.open(encoding="utf-8") as file:
            return file.read(LONGEST + 1)
    except UnicodeDecodeError as error:
        raise InputError(f"{place}: expected a configuration in UTF-8: {error}") from None
    except FileNotFoundError as error:
        if name == place.stem:
            raise not_shipped(name) from None
        raise InputError(f"{place}: cannot be read: {error.strerror}{_like(place.stem)}") from None
    except OSError as error:
        raise InputError(f"{place}: cannot be read: {error.strerror}") from None


def not_shipped(name: str) -> InputError:
    """The error about a name that no configuration has; it says which have one like it."""
    return InputError(
        f"{name}: expected a file, or the name of a configuration that ships with tfmem "
        f"(`tfmem configs` lists them){_like(name)}"
    )


def _like(name: str) -> str:
    close = difflib.get_close_matches(name, shipped_names())
    return f"; did you mean {' or '.join(close)}, which ships with tfmem?" if close else ""


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
