"""Data sets with a stable index: embedded digits, TFDS by name, official local files."""

from __future__ import annotations

from pathlib import Path

from tfmem.config import DatasetSettings
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.official import load_official
from tfmem.errors import InputError
from tfmem.quiet import import_tensorflow

__all__ = ["Dataset", "load"]


def load(settings: DatasetSettings) -> Dataset:
    """Loads a data set from official files if `data_dir` holds them, else through TFDS.

    Raises:
      InputError: saying which file or name is wrong and what to do.
    """
    if settings.data_dir is not None:
        folder = Path(settings.data_dir).expanduser()
        if not folder.is_dir():
            raise InputError(f"dataset.data_dir: no such folder: {folder}")
        if (dataset := load_official(settings.name, folder)) is not None:
            return dataset
        settings = settings.model_copy(update={"data_dir": str(folder)})
    import_tensorflow()
    from tfmem.datasets.tfds_source import load_tfds

    return load_tfds(settings)
