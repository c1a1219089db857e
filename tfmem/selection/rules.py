"""Reads the rule by which pairs of one model were selected, which lies beside them."""

from __future__ import annotations

import os
from pathlib import Path

from tfmem.config import SelectionSettings
from tfmem.messages.errors import InputError, reason
from tfmem.store.json_files import read_object, value_of
from tfmem.store.results import RULE_NAME


def read_rule(folder: str | os.PathLike[str]) -> SelectionSettings:
    """The settings by which the pairs of one model in `folder` were selected.

    Raises:
      InputError: if the folder holds no such settings.
    """
    path = Path(folder) / RULE_NAME
    settings = value_of(read_object(path), "selection", dict, str(path))
    try:
        return SelectionSettings.model_validate(settings)
    except ValueError as error:
        raise InputError(f"{path}: no rule of a selection: {reason(error)}") from None
