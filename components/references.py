"""Names by which other processes find a component: `tfmem.components.estimate:ESTIMATE`.

A component in a table is named by its key: `tfmem.components.self_influence:SELF_INFLUENCE.fast`.
"""

from __future__ import annotations

import importlib
import inspect

from tfmem.components.component import Component
from tfmem.messages.errors import InputError


def reference(component: Component) -> str:
    """The reference of a component: its module, its name there, and its key if that is a table.

    Raises:
      InputError: if the component has no name in a module that defines its work.
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
    """The component with a reference `name`, whatever the version of its code."""
    module, _, path = name.partition(":")
    attribute, _, key = path.partition(".")
    value = getattr(importlib.import_module(module), attribute)
    component: Component = value[key] if key else value
    return component


def referenced(name: str, version: str) -> Component:
    """The component with a reference `name`, in a given version.

    Args:
      name: reference of the component.
      version: version of the code with which its pipeline was made.

    Raises:
      InputError: if this process has other code, whose results would pass for the pipeline's.
    """
    component = found(name)
    if component.version != version:
        raise InputError(
            f"component {component.name}: the pipeline was made with code {version[:16]}, here is "
            f"{component.version[:16]}: make it again with this tfmem"
        )
    return component
