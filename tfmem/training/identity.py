"""Hashes of a user's own model and data, by which a run that is continued is known again."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tfmem.config import Config, PythonSettings
from tfmem.config.functions import resolve, users_own
from tfmem.messages.backends import import_backend

_CHARACTERS = 16  # of a hash, which people compare by eye
_NAMES = {  # keys of Keras' settings that count how often a program built something, or say where
    "name", "inbound_nodes", "input_layers", "output_layers", "build_config", "module",
    "registered_name", "shared_object_id",
}  # fmt: skip


def with_own_digests(config: Config) -> Config:
    """The settings with hashes of the user's own model and function of data, if they have any.

    Raises:
      InputError: if a function cannot be imported, or fails.
    """
    if config.has("dataset") and config.dataset.name == "python" and config.dataset.load:
        source = _source(resolve(config.dataset.load, "dataset.load"))
        dataset = config.dataset.model_copy(update={"digest": source})
        config = config.model_copy(update={"dataset": dataset})
    if not config.has("model") or not isinstance(config.model, PythonSettings):
        return config
    settings = config.model
    function = resolve(settings.build, "model.build")
    import_backend()
    with users_own(f"model.build: {settings.build}"):
        built = partial(function, **settings.arguments)()
    digest = {"source": _source(function), **model_digests(built)}
    model = settings.model_copy(update={"digest": digest})
    return config.model_copy(update={"model": model})


def model_digests(model: Any) -> dict[str, str]:
    """Hashes of a model's `architecture` and of how it is compiled (`training`).

    Names that Keras gives to layers do not count, because they depend on how many layers the
    program has built before.

    Args:
      model: a Keras model, or any other.
    """
    import keras

    if not isinstance(model, keras.Model):
        shown = repr(model)
        parts = [type(model).__module__, type(model).__qualname__]
        return {"architecture": _hash([*parts, "" if " at 0x" in shown else shown])}
    shapes = [[list(v.shape), str(v.dtype)] for v in model.variables]
    found = {"architecture": _hash([_settings(model), shapes])}
    if model.compiled:
        compiled = [model.optimizer, model.loss, bool(model.jit_compile)]
        found["training"] = _hash([_settings(part) for part in compiled])
    return found


def _settings(part: Any) -> Any:
    """What a part of a model is made with, without names; its type if it does not say."""
    if isinstance(part, Mapping):
        return {key: _settings(value) for key, value in part.items() if key not in _NAMES}
    if isinstance(part, list | tuple):
        return [_settings(value) for value in part]
    if part is None or isinstance(part, str | int | float | bool):
        return part
    kind = getattr(part, "__qualname__", type(part).__qualname__)
    if inspect.isfunction(part):
        return [kind, _source(part)]
    try:
        return [kind, _settings(part.get_config())]
    except (AttributeError, NotImplementedError, TypeError, ValueError):
        return kind


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_CHARACTERS]


def _source(function: Callable[..., Any]) -> str:
    """Hash of the module that defines a function; of the function alone if it is in no module.

    A function of a script or of a notebook is in no module that another program can import.
    """
    while isinstance(function, partial):
        function = function.func
    try:
        file = inspect.getsourcefile(function)
        if function.__module__ != "__main__" and file and Path(file).is_file():
            return _hash(Path(file).read_text(encoding="utf-8", errors="replace"))
        return _hash(inspect.getsource(function))
    except (OSError, TypeError, AttributeError):  # typed at a prompt, or written in C
        code = getattr(function, "__code__", None)
        return _hash(code.co_code.hex() if code else repr(type(function)))
