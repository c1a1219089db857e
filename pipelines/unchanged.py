"""What decides whether a step has to be run again, as a hash that is kept beside its outputs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tfmem.components.component import Component
from tfmem.config import Config
from tfmem.store.listing import listing_digest

ListingDigest = Callable[[Path], str]


def step_key(
    component: Component,
    parameters: Mapping[str, Any],
    inputs: Mapping[str, Path],
    data: ListingDigest = listing_digest,
) -> str:
    """Hash of a step's code, its parameters, and the files of its inputs and of its data set.

    Args:
      component: what is done.
      parameters: its parameters.
      inputs: where its inputs are, those of its optional inputs that are there included.
      data: hash of the files of a data set; a chain of steps lists a large one but once.
    """
    parts = {
        "version": component.version,
        "parameters": dict(parameters),
        "inputs": {name: listing_digest(path) for name, path in inputs.items()},
        "data": [data(path) for path in _data_of(parameters)],
    }
    text = json.dumps(parts, sort_keys=True, default=lambda value: value.model_dump(mode="json"))
    return hashlib.sha256(text.encode()).hexdigest()


def output_digests(component: Component, folder: Path) -> dict[str, str]:
    """Hash of the files of each output in a run's folder."""
    return {name: listing_digest(folder / kind.place) for name, kind in component.outputs.items()}


def _data_of(parameters: Mapping[str, Any]) -> list[Path]:
    """Where the data set of a step's settings is, if they say so, and a test split beside it."""
    config = parameters.get("config")
    if not isinstance(config, Config) or not config.has("dataset") or not config.dataset.data_dir:
        return []
    root = Path(config.dataset.data_dir).expanduser()
    split = root / config.dataset.test_split
    outside = split.exists() and not split.resolve().is_relative_to(root.resolve())
    return [root, split] if outside else [root]
