"""Names by which other processes find a component: `components.estimate:ESTIMATE`."""

from __future__ import annotations

import importlib
import inspect

from components.component import Component
from tfmem.errors import InputError


def reference(component: Component) -> str:
    """The name of a component: its module, and what it is called there.

    Raises:
      InputError: if it is no top-level name of the module that does its work.
    """
    module = inspect.getmodule(component.Do)
    for name, value in vars(module).items():
        if value is component:
            return f"{component.Do.__module__}:{name}"
    raise InputError(
        f"component {component.name}: expected a top-level name in {component.Do.__module__}"
    )


def referenced(name: str, version: str) -> Component:
    """The component of a name that `reference` gave.

    Args:
      name: of the component.
      version: the code that its pipeline was made with.

    Raises:
      InputError: if this process has other code; its results would pass for the pipeline's.
    """
    module, _, attribute = name.partition(":")
    component: Component = getattr(importlib.import_module(module), attribute)
    if component.version != version:
        raise InputError(
            f"component {component.name}: the pipeline was made with code {version[:16]}, here is "
            f"{component.version[:16]}: make it again with this tfmem"
        )
    return component
