"""Reads the rule by which pairs were selected, which lies beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tfmem.config import SelectionSettings
from tfmem.messages.errors import InputError, reason
from tfmem.store.json_files import read_object, value_of
from tfmem.store.results import RULE_NAME
from tfmem.store.sets import read_manifest


def read_rule(folder: str | os.PathLike[str]) -> SelectionSettings:
    """The settings by which the pairs of one model in `folder` were selected.

    Raises:
      InputError: if the folder holds no such settings.
    """
    path = Path(folder) / RULE_NAME
    return _rule(value_of(read_object(path), "selection", dict, str(path)), str(path))


def rule_of_set(folder: str) -> SelectionSettings:
    """The settings by which the pairs of trials in `folder` were selected.

    Args:
      folder: on any Beam filesystem.

    Raises:
      InputError: if no manifest there says so.
    """
    manifest = read_manifest(folder)
    made = {} if manifest is None else dict(manifest.made_from)
    return _rule(value_of(made, "selection", dict, folder), folder)


def _rule(settings: dict[str, Any], where: str) -> SelectionSettings:
    try:
        return SelectionSettings.model_validate(settings)
    except ValueError as error:
        raise InputError(f"{where}: no rule of a selection: {reason(error)}") from None
