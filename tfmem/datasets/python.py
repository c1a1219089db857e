"""Data sets that a function of a user's returns."""

from __future__ import annotations

from typing import Any

from tfmem.config import DatasetSettings
from tfmem.config.functions import resolve
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.given import given_dataset
from tfmem.datasets.structured import StructuredDataset
from tfmem.messages.errors import InputError


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
    found: Any = resolve(settings.load, "dataset.load")(**settings.arguments)
    name = settings.load.rpartition(":")[2]
    if isinstance(found, dict) and "train" in found:
        return given_dataset(name, **found)
    if isinstance(found, tuple | list) and len(found) == 2:
        return given_dataset(name, *found)
    raise InputError(
        f"dataset.load: expected {settings.load} to return (x_train, y_train), (x_test, y_test), "
        f"received {type(found).__name__}"
    )
