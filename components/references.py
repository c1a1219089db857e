"""Names by which other processes find a component: `tfmem.components.estimate:ESTIMATE`.

Those of a table have its key: `tfmem.components.self_influence:SELF_INFLUENCE.fast`.
"""

from __future__ import annotations

import importlib
import inspect

from tfmem.components.component import Component
from tfmem.messages.errors import InputError


def reference(component: Component) -> str:
    """The name of a component: a module, what it is called there, and a key if that is a table.

    Raises:
      InputError: if it has no such name in a module that its work is defined in.
    """
    modules = [inspect.getmodule(part) for part in (*component.parts, component.Do)]
    for module in filter(None, modules):
        for name, value in vars(module).items():
            if value is component:
                return f"{module.__name__}:{name}"
            for key, each in value.items() if isinstance(value, dict) else ():
                if each is component:
                    return f"{module.__name__}:{name}.{key}"
    raise InputError(
        f"component {component.name}: expected a top-level name in {component.Do.__module__}"
    )


def found(name: str) -> Component:
    """The component of a name that `reference` gave, whatever its code."""
    module, _, path = name.partition(":")
    attribute, _, key = path.partition(".")
    value = getattr(importlib.import_module(module), attribute)
    component: Component = value[key] if key else value
    return component


def referenced(name: str, version: str) -> Component:
    """The component of a name that `reference` gave.

    Args:
      name: of the component.
      version: the code that its pipeline was made with.

    Raises:
      InputError: if this process has other code; its results would pass for the pipeline's.
    """
    component = found(name)
    if component.version != version:
        raise InputError(
            f"component {component.name}: the pipeline was made with code {version[:16]}, here is "
            f"{component.version[:16]}: make it again with this tfmem"
        )
    return component
