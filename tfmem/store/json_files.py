"""Reads JSON objects from files that may be damaged."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from tfmem.messages.errors import InputError, reason


def read_object(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads the JSON object in a file.

    Raises:
      InputError: naming the file, if it cannot be read, is no JSON, or holds no object.
    """
    try:
        contents = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    return parse_object(contents, os.fspath(path))


def parse_object(contents: bytes, source: str) -> dict[str, Any]:
    """Reads a JSON object.

    Args:
      contents: UTF-8.
      source: what the file is called in error messages.

    Raises:
      InputError: if the text is no JSON, is nested too deeply, holds half a character, or is no
        object.
    """
    try:
        found = json.loads(contents)
        json.dumps(found, ensure_ascii=False).encode()  # half a character cannot be printed
    except (ValueError, RecursionError) as error:
        raise InputError(f"{source}: not readable as JSON: {reason(error)}") from None
    if not isinstance(found, dict):
        raise InputError(f"{source}: expected a JSON object, received {_kind(found)}")
    return found


def value_of(found: dict[str, Any], name: str, kind: type, source: str) -> Any:
    """Returns a value of a JSON object, after checking that it exists and has the given kind.

    Args:
      found: the object.
      name: the value's name.
      kind: `str`, `int`, `float` (any number), `list` or `dict`.
      source: what the object is called in error messages.

    Raises:
      InputError: naming `source` and the value, if it is missing or of another kind.
    """
    value = found.get(name)
    kinds = (int, float) if kind is float else (kind,)
    if not isinstance(value, kinds) or isinstance(value, bool):
        received = _kind(value) if name in found else "no such value"
        raise InputError(f"{source}: {name}: expected {kind.__name__}, received {received}")
    return value


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__
