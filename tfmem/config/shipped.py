"""Configurations that ship with the package: `configs/*.yaml`, which commands take by name.

Each file opens with a comment: the commands that use it, an empty line, one sentence that says what
it is, and later one that says what it costs. `tfmem configs` shows these two sentences alone.
"""

from __future__ import annotations

import re
from importlib.resources import files

_SUFFIX = ".yaml"
_FOLDER = files("tfmem") / "configs"


def shipped_names() -> list[str]:
    """Names of all configurations that ship with the package, sorted."""
    names = (each.name for each in _FOLDER.iterdir())
    return sorted(name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX))


def shipped_text(name: str, place: str) -> str:
    """The YAML of a configuration that ships with the package.

    Args:
      name: one of `shipped_names()`.
      place: name or path of the configuration that the commands in its comment will show.
    """
    text = (_FOLDER / f"{name}{_SUFFIX}").read_text(encoding="utf-8")
    return re.sub(
        r"configs/(\w+)\.yaml", lambda found: place if found[1] == name else found[1], text
    )


def summary(text: str) -> tuple[str, str]:
    """What a configuration is, and what it costs: one sentence each, from its first comment."""
    comment = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    cost = next(line for line in comment if line.startswith("Cost: "))
    return comment[comment.index("") + 1], cost.removeprefix("Cost: ")
