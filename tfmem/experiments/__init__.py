"""What the estimates show: one file an experiment, which ends with its declaration."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmem.config.base import Settings
    from tfmem.experiments.declaration import Experiment

_DECLARATION = "\nEXPERIMENT = "


@cache
def declared() -> Mapping[str, Experiment[Any]]:
    """All experiments by name: the `EXPERIMENT` of each module in this room that declares one.

    The first call imports these modules, which takes seconds.
    """
    files = sorted(Path(__file__).parent.glob("*.py"))
    names = (file.stem for file in files if _DECLARATION in file.read_text(encoding="utf-8"))
    found = (importlib.import_module(f"{__name__}.{name}").EXPERIMENT for name in names)
    return MappingProxyType({each.name: each for each in found})


def sections() -> Mapping[str, type[Settings]]:
    """The settings class of each experiment, by the name of its section."""
    return {each.section: each.settings for each in declared().values()}
