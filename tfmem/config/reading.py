"""Reads settings from YAML; a mistake is an `InputError` that names the key."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError, create_model

from tfmem.config.base import Settings
from tfmem.config.experiments import ExperimentSettings
from tfmem.config.models import ModelSettings
from tfmem.config.parsing import parse_yaml, shown
from tfmem.config.tree import Config
from tfmem.messages.errors import InputError

_MODELS = tuple(
    family.model_fields["name"].default for family in get_args(get_args(ModelSettings)[0])
)


Sections = Mapping[str, type[Settings]]
_LONGEST = 80  # characters of a key that are shown
_MOST_SAID = 20  # mistakes that one error lists


def from_yaml(
    text: str,
    overrides: Sequence[str] = (),
    source: str = "configuration",
    experiments: Callable[[], Sections] | None = None,
) -> Config:
    """Reads all settings of a run from `text`, and changes those that `overrides` name.

    Args:
      text: YAML; keys that are left out keep their defaults.
      overrides: words such as `"training.trials=500"`, a dotted key and a value in YAML; later ones
        win.
      source: the text's name in error messages.
      experiments: returns the settings of each experiment, by name; called only if the text has a
        section of an experiment. None keeps these sections as written, for settings of a run that
        exists.

    Raises:
      InputError: with one line for each key that is unknown, of a wrong type or out of range.
    """
    tree = parse_yaml(text, source)
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InputError(f"{source}: expected a mapping of settings, received {shown(tree)}")
    changed = [_override(tree, override) for override in overrides]
    kind = _with_sections(tree, experiments) if experiments else Config
    try:
        return _plain(kind.model_validate(tree))
    except ValidationError as error:
        raise InputError(_lines(error, changed, source, kind)) from None


def from_sections(tree: Mapping[str, Any], reader: str) -> Config:
    """Reads some sections of a settings tree; others are not there, rather than at their defaults.

    Args:
      tree: the sections.
      reader: who declared to depend on them.

    Raises:
      InputError: as `from_yaml` does.
    """
    fields = Config.model_fields
    kinds: Any = {name: (fields[name].annotation, fields[name]) for name in tree if name in fields}
    try:
        read = create_model("Config", __base__=Settings, **kinds).model_validate(tree)
        config = Config.model_construct(**read.__dict__).only(tree, reader)
        config.check_sections()
    except ValidationError as error:
        raise InputError(_lines(error, (), reader, Config)) from None
    except ValueError as error:
        raise InputError(f"{reader}: settings: expected {error}") from None
    return config


def _lines(error: ValidationError, changed: Sequence[str], source: str, root: type[Config]) -> str:
    told = _told(error.errors(), root)
    lines = [f"{_origin(key, changed, source)}{key}: {told[key]}" for key in told]
    if more := len(lines) - _MOST_SAID:
        lines[_MOST_SAID:] = [f"{source}: and {more:,} more"] if more > 0 else []
    return "\n".join(lines)


def _with_sections(tree: dict[str, Any], experiments: Callable[[], Sections]) -> type[Config]:
    """The class that validates `tree`, with a typed section for each experiment if it has any."""
    written = tree.get("experiments")
    if not isinstance(written, dict) or written.keys() <= ExperimentSettings.model_fields.keys():
        return Config
    fields: Any = {name: (kind, kind()) for name, kind in experiments().items()}
    closed: Any = type("_Closed", (ExperimentSettings,), {"model_config": {"extra": "forbid"}})
    typed = create_model("ExperimentSettings", __base__=closed, **fields)
    return create_model("Config", __base__=Config, experiments=(typed, typed()))


def _plain(read: Config) -> Config:
    """The settings in `read` as a `Config` that holds the sections of experiments as objects."""
    if type(read) is Config:
        return read
    known = read.experiments
    sections = {name: getattr(known, name) for name in known.model_fields_set}
    values = {name: getattr(read, name) for name in Config.model_fields}
    return Config(**{**values, "experiments": ExperimentSettings(**sections)})


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


def _override(tree: dict[str, Any], override: str) -> str:
    """Changes one value of `tree`, and returns its dotted key."""
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise InputError(f"--set: expected KEY=VALUE, received {override!r}")
    *parents, leaf = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise InputError(f"--set {key}: {parent!r} is a value and has no keys below it")
        tree = child
    tree[leaf] = parse_yaml(value, f"--set {key}")
    return key


def _origin(key: str, changed: Sequence[str], source: str) -> str:
    """The beginning of an error, which says that a wrong value is in `--set` or in `source`."""
    by_option = any(f"{key}.".startswith(f"{each}.") for each in changed)
    return "--set " if by_option else f"{source}: "


def _told(problems: Sequence[Any], root: type[Config]) -> dict[str, str]:
    """What is wrong, by key; a key that may have one of several types gets one sentence."""
    keys = [_key(problem, root) for problem in problems]
    told: dict[str, list[str]] = {}
    received = {}
    for key, problem in zip(keys, problems, strict=True):
        short = problem["type"] == "too_short"
        if short and any(other.startswith(f"{key}.") for other in keys):
            continue  # the list is too short only because items in it are wrong
        said, given = _explain(problem, root)
        told.setdefault(key, []).append(said)
        received[key] = given
    return {key: _any_of(said) + received[key] for key, said in told.items()}


def _any_of(said: Sequence[str]) -> str:
    first, *others = dict.fromkeys(said)
    return " or ".join([first, *(other.removeprefix("expected ") for other in others)])


def _explain(problem: Any, root: type[Config]) -> tuple[str, str]:
    """What pydantic expected where it found an error, and what it received."""
    kind, path = problem["type"], problem["loc"]
    received = f", received {shown(problem['input'])}"
    if kind == "extra_forbidden":
        close = difflib.get_close_matches(str(path[-1]), _keys_beside(path, root), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        return f"unknown key{hint}", f" (received {shown(problem['input'])})"
    if kind == "invalid_key":
        return "expected a name as the key", received
    if kind.startswith("union_tag"):
        name = problem["ctx"].get("tag")
        return f"expected {_expected_tags(problem)}", f", received {shown(name)}"
    if kind == "too_short":
        least = problem["ctx"]["min_length"]
        return f"expected a list of at least {least} item{'s'[: least > 1]}", received
    if kind == "tuple_type":
        return "expected a list", received
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return f"expected {message}", received if path else ""  # the whole tree would be too long


def _key(problem: Any, root: type[Config]) -> str:
    """The dotted key of an error, without the names that pydantic adds for members of a union."""
    location = problem["loc"]
    path: list[str] = []
    settings: Any = root
    for place, part in enumerate(location):
        if part in getattr(settings, "model_fields", {}):
            path.append(str(part))
            settings = settings.model_fields[part].annotation
        elif isinstance(part, int) and path:
            path.append(str(part))
        elif tagged := [each for each in _members(settings) if _tag(each) == part]:
            settings = tagged[0]
        elif hasattr(settings, "model_fields") and place == len(location) - 1:
            named = isinstance(part, str) and len(part) <= _LONGEST
            path.append(str(part) if named else shown(part))  # an unknown key, which may be long
    if problem["type"].startswith("union_tag"):
        path.append("name")
    return ".".join(path) or "settings"


def _members(settings: Any) -> tuple[Any, ...]:
    return get_args(settings) or (settings,)


def _expected_tags(problem: Any) -> str:
    return problem["ctx"].get("expected_tags", "one of " + ", ".join(map(repr, _MODELS)))


def _keys_beside(location: Sequence[Any], root: type[Config]) -> list[str]:
    settings: Any = root
    for part in location[:-1]:
        tagged = [each for each in _members(settings) if _tag(each) == part]
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
