"""The version of a component, a hash that changes with any code that the component runs."""

from __future__ import annotations

import functools
import hashlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tfmem

_ROOT = Path(tfmem.__file__).resolve().parent
_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(?P<source>tfmem[\w.]*)[ \t]+import[ \t]+(?P<names>\([^)]*\)|[^\n(]+)"
    r"|import[ \t]+(?P<module>tfmem[\w.]*))",
    re.MULTILINE,
)
_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+[^\n]*\n|\n)+", re.MULTILINE)


def code_version(functions: Iterable[Callable[..., Any]]) -> str:
    """Hash of the modules that define `functions`, and of all modules of tfmem that these import.

    Imports within functions count; imports for type checkers do not. The other files in a module's
    folder, such as templates, styles and scripts, count as well.

    Args:
      functions: the functions that make up a component's work.
    """
    waiting = [Path(inspect.getfile(function)).resolve() for function in functions]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    beside = {file for folder in {path.parent for path in found} for file in _data(folder)}
    digest = hashlib.sha256()
    for name, content in sorted((path.name, _hash(path)) for path in found | beside):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()


@functools.cache
def _imported(path: Path) -> tuple[Path, ...]:
    """Source files of tfmem that a source file imports, including the packages around them."""
    text = _FOR_TYPES.sub("", path.read_text(encoding="utf-8"))
    if path.parent == _ROOT:
        return ()  # what the package has for its users is imported when they ask for it
    files = (_source(name) for name in set(_names(text)))
    return tuple(file for file in files if file is not None)


def _names(text: str) -> Iterator[str]:
    """Names that a source text imports from tfmem, which may be modules."""
    for found in _IMPORT.finditer(text):
        source = found["source"] or found["module"]
        parts = source.split(".")
        yield from (".".join(parts[: end + 1]) for end in range(len(parts)))
        for name in re.findall(r"(\w+)(?:[ \t]+as[ \t]+\w+)?", found["names"] or ""):
            yield f"{source}.{name}"


@functools.cache
def _source(name: str) -> Path | None:
    """The file of a module of tfmem; None if there is no such module."""
    place = _ROOT.joinpath(*name.split(".")[1:])
    for path in (place / "__init__.py", place.with_suffix(".py")):
        if path.is_file():
            return path.resolve()
    return None


@functools.cache
def _data(folder: Path) -> tuple[Path, ...]:
    """Files beside the modules of a folder, and in folders below that hold no modules."""
    if folder == _ROOT:
        return ()  # configurations, which are no code
    found: list[Path] = []
    for path in folder.iterdir():
        if path.name[0] == "." or path.name == "__pycache__":  # what Python and numba compiled
            continue
        if path.is_dir() and not any(path.glob("*.py")):
            found += _data(path)
        elif path.is_file() and path.suffix != ".py":
            found.append(path)
    return tuple(found)


@functools.cache
def _hash(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()
