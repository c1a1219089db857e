"""Reads a tree from YAML; a mistake is an `InputError` that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

import ruamel.yaml
from pydantic import ValidationError
from ruamel.yaml.error import YAMLError

from tfmem.config.models import ModelSettings
from tfmem.config.tree import Config
from tfmem.errors import InputError

_MODELS = tuple(
    family.model_fields["name"].default for family in get_args(get_args(ModelSettings)[0])
)


def from_yaml(text: str, overrides: Sequence[str] = (), source: str = "configuration") -> Config:
    """Reads a settings tree.

    Args:
      text: YAML; keys that are left out keep their defaults.
      overrides: `"training.trials=500"`: a dotted key, and a value in YAML; later ones win.
      source: what the text is called in error messages.

    Raises:
      InputError: with one line for each key that is unknown, of a wrong type or out of range.
    """
    tree = _parse(text, source)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InputError(f"{source}: expected a mapping of settings, received {tree!r}")
    for override in overrides:
        _override(tree, override)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        problems = [p for p in error.errors() if p["type"] != "too_short" or p["input"] == []]
        lines = [f"{source}: {_explain(problem)}" for problem in problems]
        raise InputError("\n".join(lines)) from None


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Lines `key: old -> new` for every leaf in which two settings trees differ."""
    lines = []
    for key in [*old, *(key for key in new if key not in old)]:
        before, after, name = old.get(key), new.get(key), f"{prefix}{key}"
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, f"{name}.")
        elif before != after:
            lines.append(f"{name}: {before!r} -> {after!r}")
    return lines


def _parse(text: str, source: str) -> Any:
    try:
        return ruamel.yaml.YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise InputError(f"{source}: not valid YAML: {' '.join(str(error).split())}") from None


def _override(tree: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise InputError(f"--set: expected KEY=VALUE, received {override!r}")
    *parents, leaf = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise InputError(f"--set {key}: {parent!r} is a value, it has no keys below it")
        tree = child
    tree[leaf] = _parse(value, f"--set {key}")


def _explain(problem: Any) -> str:
    """One line for one pydantic error: the key, what was expected, what was received."""
    path = [str(part) for part in problem["loc"]]
    if len(path) > 1 and path[0] == "model" and path[1] in _MODELS:
        del path[1]  # the tag of the union is not a key
    key = ".".join(path) or "settings"
    if problem["type"] == "extra_forbidden":
        close = difflib.get_close_matches(path[-1], _keys_beside(problem["loc"]), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"{key}: unknown key{hint} (received {problem['input']!r})"
    if problem["type"].startswith("union_tag"):
        name = problem["ctx"].get("tag")
        return f"{key}.name: expected {_expected_tags(problem)}, received {name!r}"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    received = f", received {problem['input']!r}" if path else ""  # not the whole tree
    return f"{key}: expected {message}{received}"


def _expected_tags(problem: Any) -> str:
    return problem["ctx"].get("expected_tags", "one of " + ", ".join(map(repr, _MODELS)))


def _keys_beside(location: Sequence[Any]) -> list[str]:
    settings: Any = Config
    for part in location[:-1]:
        candidates = get_args(settings) or (settings,)
        tagged = [c for c in candidates if _tag(c) == part]
        if tagged:
            settings = tagged[0]
        elif part in getattr(settings, "model_fields", {}):
            settings = settings.model_fields[part].annotation
        else:
            return []
    return list(getattr(settings, "model_fields", {}))


def _tag(settings: Any) -> str | None:
    fields = getattr(settings, "model_fields", {})
    return fields["name"].default if "name" in fields else None
