"""Writes the pages of the reference that follow from the code.

python docs/write_reference.py
"""

from __future__ import annotations

import inspect
import json
import re
import textwrap
import typing
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import typer.main
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from tfmem.config import Config
from tfmem.config.base import Settings
from tfmem.experiments import sections
from tfmem.experiments.documentation import attributes
from tfmem.pipelines.cli import app
from tfmem.pipelines.cli.commands import PANELS, broken

FOLDER = Path(__file__).parent / "reference"
_EVERYWHERE = {"help", "verbose", "quiet"}

_COMMANDS = """\
# Commands

Written from the command line itself; `make docs` writes it again. `tfmem COMMAND --help` prints the
same. Every command also takes `--verbose` (tracebacks, and the logs of libraries) and `--quiet` (no
progress). A command that expects a configuration (`CONFIG`) takes a file, the name of a
configuration that ships with tfmem, or the folder of a run.
"""
_SETTINGS = """\
# Settings

Written from the settings' own descriptions; `make docs` writes it again. A configuration is a YAML
file of these sections; what it leaves out is at its default. `--set training.trials=500` on the
command line changes one setting. Where a description says None, a file says `null`.
"""


def commands() -> str:
    """The page of all commands, as Markdown."""
    known = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parts = [_COMMANDS]
    for panel, names in PANELS.items():
        parts.append(f"## {panel}\n")
        parts += [_command(name, known[name]) for name in names]
    return "\n".join(parts)


def _command(name: str, command: Any) -> str:
    given = [each for each in command.params if each.name not in _EVERYWHERE]
    lines = [f"### tfmem {name}", "", _plain(command.help), ""]
    examples = (textwrap.dedent(broken(each)).rstrip() for each in command.examples)
    lines += ["```text", *examples, "```", ""]
    for each in given:
        if not getattr(each, "hidden", False):
            lines += _defined(_called(each), _default(each), each.help or "")
    return "\n".join(lines)


def _called(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return f"`{(parameter.metavar or parameter.name.upper()).strip('{}[].')}`"
    return ", ".join(f"`{part}`" for part in parameter.opts)


def _defined(name: str, default: str, text: str) -> Iterator[str]:
    """An entry of a list of definitions."""
    said = _plain(text)
    yield f"{name}{', ' if default == 'required' else default and ' = '}{default}"
    yield f": {said[:1].upper()}{said[1:]}"
    yield ""


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = parameter.show_default
    if isinstance(shown, str):
        return f"`{shown}`"
    value = parameter.default
    if not shown or value is None or value is False or callable(value) or value in ((), []):
        return ""
    if "UNSET" in repr(value):  # the command line's own mark, which has no public name
        return ""
    return f"`{value.value if isinstance(value, Enum) else value}`"


def settings() -> str:
    """The page of all settings, as Markdown."""
    seed = _defined("`seed`", "`0`", "Decides all randomness, together with the number of a trial.")
    parts = [_SETTINGS, *seed]
    for name, field in Config.model_fields.items():
        if name == "seed":
            continue
        for kind in _kinds(field.annotation):
            parts += _section(name, kind)
    for name, kind in sections().items():
        parts += _section(f"experiments.{name}", kind)
    return "\n".join(parts)


def _section(name: str, kind: type[Settings]) -> Iterator[str]:
    """The table of one section, and those of the sections in it."""
    described = attributes(kind)
    fields = dict(kind.model_fields)
    title = name
    if name == "model":
        title = f"model: {fields.pop('name').default}"
    inner = {each: list(_kinds(field.annotation)) for each, field in fields.items()}
    plain = [each for each in fields if not inner[each]]
    yield from (f"## {title}", "", _summary(kind), "")
    for each in plain:
        yield from _defined(f"`{name}.{each}`", _of_field(fields[each]), described.get(each, ""))
    for each, kinds in inner.items():
        for part in kinds if name != "model" else ():
            yield from _section(f"{name}.{each}", part)


def _of_field(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    return f"`{json.dumps(value)}`"


def _kinds(annotation: Any) -> Iterator[type[Settings]]:
    """The sections among the types of an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation  # type: ignore[misc]
    for part in typing.get_args(annotation):
        yield from _kinds(part)


def _summary(kind: type) -> str:
    text = inspect.cleandoc(kind.__doc__ or "").partition("\nAttributes:")[0]
    return _plain(text)


def _plain(text: str) -> str:
    """Paragraphs without line breaks and without the terminal's marks."""
    text = re.sub(r"\\\[", "[", text)
    return "\n\n".join(" ".join(part.split()) for part in text.strip().split("\n\n"))


PAGES = {"commands.md": commands, "settings.md": settings}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
