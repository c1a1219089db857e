"""Data sets that a function of a user's returns."""

from __future__ import annotations

from typing import Any

from tfmem.config import DatasetSettings
from tfmem.config.functions import resolve, users_own
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.given import given_dataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError

_KEYS = ("train", "test", "label", "task", "ids", "test_ids", "class_names")


def load_python(settings: DatasetSettings) -> Dataset | StructuredDataset:
    """The data set that the function `dataset.load` returns.

    The function returns training and test examples, each in a form that `given_dataset` takes, or a
    dictionary of its arguments: `train`, and optionally `test`, `ids`, `class_names` and others.

    Raises:
      InputError: if there is no such function, or it returns something else.
    """
    if settings.load is None:
        raise InputError(
            "dataset.load: expected package.module:function with dataset.name=python, received null"
        )
    load = resolve(settings.load, "dataset.load")
    with users_own(f"dataset.load: {settings.load}"):
        found: Any = load(**settings.arguments)
    name = settings.load.rpartition(":")[2]
    if isinstance(found, dict) and "train" in found:
        if unknown := found.keys() - _KEYS:
            raise InputError(
                f"dataset.load: expected {settings.load} to return {', '.join(_KEYS)}, received "
                f"{min(unknown, key=str)!r}"
            )
        return given_dataset(name, **found)
    if isinstance(found, tuple | list) and len(found) == 2:
        return given_dataset(name, *found)
    raise InputError(
        f"dataset.load: expected {settings.load} to return (x_train, y_train), (x_test, y_test), "
        f"received {type(found).__name__}"
    )
