"""The version of a component's code: what must change when any code that it runs has changed."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import tfmem

_ABOVE = "components", "pipelines", "configs"  # of the package, but not of the library
_PACKAGE = __name__.rpartition(".")[0]


def code_version(functions: Iterable[Callable[..., Any]]) -> str:
    """Hash of the library, and of the components' modules that some functions are defined in.

    Modules of components that these import, anywhere in their source, count as well.

    Args:
      functions: all that a component's work is made of.
    """
    digest = hashlib.sha256(_library().encode())
    waiting = [Path(inspect.getfile(function)) for function in functions]
    found: set[Path] = set()
    while waiting:
        path = waiting.pop().resolve()
        if path not in found and path.is_file():
            found.add(path)
            waiting += _imported(path)
    for path in sorted(found):
        digest.update(_entry(path.name, path))
    return digest.hexdigest()


@functools.cache
def _library() -> str:
    """Hash of every file of the library, source or not; nothing of it is looked at twice."""
    root = Path(tfmem.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        inside = path.relative_to(root)
        made = any(part[0] == "." or part == "__pycache__" for part in inside.parts)
        made |= inside.parts[0] in _ABOVE
        if path.is_file() and not made:  # Python and numba keep there what they compiled
            digest.update(_entry(inside.as_posix(), path))
    return digest.hexdigest()


def _entry(name: str, path: Path) -> bytes:
    return name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest()


@functools.cache
def _imported(path: Path) -> tuple[Path, ...]:
    """The components' modules that a source file imports."""
    names = {name for name in _names(ast.parse(path.read_bytes())) if name.startswith(_PACKAGE)}
    specs = [importlib.util.find_spec(name) for name in sorted(names)]
    return tuple(Path(spec.origin) for spec in specs if spec and spec.origin)


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == _PACKAGE:
                yield from (f"{_PACKAGE}.{alias.name}" for alias in node.names)
