"""The command that lists, shows and copies the configurations that ship with the package."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from tfmem.config.shipped import shipped_names, shipped_text, summary
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import present, say
from tfmem.pipelines.cli.commands import command
from tfmem.pipelines.cli.options import not_shipped
from tfmem.store.files import write_atomically


@command(
    "tfmem configs",
    "tfmem configs show digits",
    "tfmem configs copy digits",
    "tfmem configs copy digits --to settings/mine.yaml",
)
def configs(
    action: Annotated[
        Literal["list", "show", "copy"],
        typer.Argument(
            metavar="ACTION",
            help="list shows all names; show prints, and copy copies, the one of NAME.",
        ),
    ] = "list",
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Name of a configuration.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="PATH",
            help="With copy: the file to write, or its folder. By default NAME.yaml in this "
            "folder.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With copy: replace an existing file.")
    ] = False,
) -> None:
    """List the configurations that ship with tfmem, show one, or copy one to edit it.

    A command that expects a configuration accepts one of these names, or the path of a file.
    """
    if action != "copy" and (to or force):
        raise InputError(f"configs {action}: --to and --force are for `tfmem configs copy NAME`")
    if (action == "list") != (name is None):
        raise InputError(
            "expected `tfmem configs`, `tfmem configs show NAME` or `tfmem configs copy NAME`"
        )
    if name is not None and name not in shipped_names():
        raise not_shipped(name)
    if name is None:
        _list()
    elif action == "show":
        present(shipped_text(name, name).rstrip("\n"))
    else:
        _copy(name, to or Path(), force)


def _list() -> None:
    for name in shipped_names():
        what, cost = summary(shipped_text(name, name))
        present(f"{name}\n    {what}\n    Cost: {cost}")


def _copy(name: str, to: Path, force: bool) -> None:
    file = to / f"{name}.yaml" if to.is_dir() else to
    if not file.absolute().parent.is_dir():
        raise InputError(f"--to {file}: expected a file in an existing folder")
    if file.exists() and not force:
        raise InputError(f"{file}: exists already: --force replaces it, --to names another file")
    place = shlex.quote(str(file)) if str(file).isprintable() else name
    write_atomically(file, shipped_text(name, place).encode())
    say(f"{file}: the configuration {name}; its first lines say how to run it")
