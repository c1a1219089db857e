"""Parameters of a component as an orchestrator holds them: each is a number or a text.

Each section of the configuration that a component declares is a parameter of its own, so that users
can see, compare and edit it. A value that is neither a number nor a text becomes JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tfmem.components.component import Component, Parameters
from tfmem.config import Config, Settings, from_sections
from tfmem.messages.errors import InputError

Value = int | float | str
_PLAIN = int, float, str


def kinds(component: Component) -> dict[str, type]:
    """Type of each parameter, by the name that it has in an orchestrator: int, float or str."""
    fields = Config.model_fields
    sections = {
        _name(key): int if key in fields and fields[key].annotation is int else str
        for key in component.sections
    }
    others = {name: kind if kind in _PLAIN else str for name, kind in component.parameters.items()}
    return {**sections, **others}


def spread(component: Component, parameters: Parameters) -> dict[str, Value]:
    """Converts the parameters of a component to values and names that an orchestrator can hold.

    Args:
      component: the component.
      parameters: its parameters, as `Do` receives them.

    Raises:
      InputError: if the parameters do not fit the component.
    """
    component.check_parameters(parameters)
    values = {_name(key): _at(parameters["config"], key) for key in component.sections}
    values |= {name: parameters[name] for name in component.parameters}
    return {
        name: value if isinstance(value, _PLAIN) else _json(value) for name, value in values.items()
    }


def collect(component: Component, values: Mapping[str, Any]) -> dict[str, Any]:
    """Converts values of an orchestrator to the parameters of `Do`, and validates them.

    Args:
      component: the component.
      values: values as `spread` returns them; some may be left out.

    Raises:
      InputError: if a value is not valid; the error names the parameter, and the key in it.
    """
    reader = f"component {component.name}"
    parameters = {
        name: _parsed(reader, name, kind, values[name])
        for name, kind in component.parameters.items()
        if name in values
    }
    if component.sections:
        tree: dict[str, Any] = {}
        for key in component.sections:
            name, _, below = key.partition(".")
            value = values[_name(key)]
            value = _loaded(reader, _name(key), value) if isinstance(value, str) else value
            if below:
                tree.setdefault(name, {})[below] = value
            else:
                tree[name] = value
        parameters["config"] = component.settings(from_sections(tree, reader))
    return parameters


def _name(key: str) -> str:
    """The name of a section as a parameter, without dots, which orchestrators refuse."""
    return key.replace(".", "_")


def _at(settings: Any, key: str) -> Any:
    for name in key.split("."):
        settings = getattr(settings, name)
    return settings


def _json(value: Any) -> str:
    return json.dumps(value.model_dump(mode="json") if isinstance(value, Settings) else value)


def _parsed(reader: str, name: str, kind: Any, value: Any) -> Any:
    """Validates a parameter that is not a section of the configuration, and returns its value."""
    if kind in _PLAIN:
        return value
    try:
        return TypeAdapter(kind).validate_json(value)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join([name, *map(str, first["loc"])])
        raise InputError(f"{reader}: {key}: {first['msg']}, received {value!r}") from None


def _loaded(reader: str, name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{reader}: {name}: expected JSON ({error}), received {text!r}") from None
