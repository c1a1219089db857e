"""Functions of a user's, named in settings as `package.module:function` or `FILE.py:function`.

A function that no program but this one can import (because it lives in a notebook or in a script)
has a name of the same form, and is remembered while this program runs.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfmem.messages.errors import InputError

_LONGEST = 300  # characters of an error's text

_REMEMBERED: dict[str, Callable[..., Any]] = {}


def reference(function: Callable[..., Any]) -> str:
    """The name by which settings call a function, which this program can resolve from now on.

    Args:
      function: a function, a class, or another object that can be called.
    """
    named = function.func if isinstance(function, functools.partial) else function
    module = getattr(named, "__module__", None) or "__main__"
    name = getattr(named, "__qualname__", type(named).__qualname__)
    found = f"{module}:{name}"
    if not _leads_to(found, function):
        _REMEMBERED[found] = function
    return found


def is_importable(name: str) -> bool:
    """Whether other programs, such as workers, can import the function that settings call `name`.

    Args:
      name: what `reference` returned, or what a user wrote.
    """
    return name not in _REMEMBERED and not name.startswith("__main__:")


def resolve(name: str, key: str) -> Callable[..., Any]:
    """The function that settings call `name`; modules in the current folder are found.

    Args:
      name: `package.module:function`, or `FILE.py:function`; that file's folder is then on Python's
        path.
      key: the setting that holds the name, for errors.

    Raises:
      InputError: if there is no such function, or it lives in another program only.
    """
    if name in _REMEMBERED:
        return _REMEMBERED[name]
    module, colon, path = name.rpartition(":")
    if not (module and colon and path):
        raise InputError(
            f"{key}: expected package.module:function or FILE.py:function, received {name!r}"
        )
    if module == "__main__" or "<" in path:
        raise InputError(
            f"{key}: {name} lives in the program or notebook that defined it, and this program "
            "cannot import it: put the function into a module that both can import"
        )
    found = _of_file(Path(module), key) if module.endswith(".py") else _of_module(module, name, key)
    for part in path.split("."):
        if not hasattr(found, part):
            raise InputError(f"{key}: module {module!r} has no {path!r}")
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{key}: expected a function, {name} is a {type(found).__name__}")
    return found


@contextmanager
def users_own(what: str) -> Iterator[None]:
    """Says in one sentence that a user's own code fails; its error is the cause.

    Args:
      what: the setting, and the function or module that it names.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:_LONGEST]
        raise InputError(f"{what} fails: {type(error).__name__}: {said}") from error


def _of_module(module: str, name: str, key: str) -> Any:
    if (folder := os.getcwd()) not in sys.path:  # a command does not look there by itself
        sys.path.append(folder)
    with users_own(f"{key}: the module of {name}"):
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and what it imports is not
            raise InputError(
                f"{key}: there is no module {error.name!r} on Python's path (received {name!r}); "
                "install the package, or add its folder to PYTHONPATH"
            ) from None


def _of_file(file: Path, key: str) -> Any:
    """The module in a file; processes that share Python's path can import it by its name."""
    if not file.is_file():
        hint = "; give the command in the folder from which the run was begun"
        here = "" if file.is_absolute() else f" in the current folder, {Path.cwd()}{hint}"
        raise InputError(f"{key}: there is no file {file}{here}")
    if not file.stem.isidentifier():
        raise InputError(f"{key}: {file}: expected a file whose name is that of a Python module")
    if (folder := str(file.resolve().parent)) not in sys.path:
        sys.path.append(folder)
    with users_own(f"{key}: {file}"):
        module = importlib.import_module(file.stem)
    if (known := getattr(module, "__file__", None)) is None or not file.samefile(known):
        raise InputError(
            f"{key}: {file}: another module has the name {file.stem!r} ({known}); rename the file"
        )
    return module


def _leads_to(name: str, function: Callable[..., Any]) -> bool:
    module, _, path = name.rpartition(":")
    found: Any = sys.modules.get(module) if module != "__main__" else None
    for part in path.split("."):
        found = getattr(found, part, None)
    return found is function
