"""Examples with a stable index, one file a source.

This room does not know which examples a trial sees.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tfmem.config import DatasetSettings, TextSettings
from tfmem.datasets.arrays import load_npz
from tfmem.datasets.canaries import plant
from tfmem.datasets.classes import keep_classes
from tfmem.datasets.dataset import Dataset
from tfmem.datasets.embedded import load_digits
from tfmem.datasets.image_folder import load_image_folder
from tfmem.datasets.kept import load_labels
from tfmem.datasets.noise import add_label_noise
from tfmem.datasets.official import load_official
from tfmem.datasets.python import load_python
from tfmem.datasets.rows import drawn_rows
from tfmem.datasets.saved import load_saved
from tfmem.datasets.streamed import (
    AnyDataset,
    ImageDataset,
    StreamedDataset,
    has_classes,
    ids_of,
)
from tfmem.datasets.structured import StructuredDataset
from tfmem.datasets.table import load_table
from tfmem.datasets.text import TextDataset
from tfmem.datasets.text_files import load_text_files
from tfmem.datasets.treebank import load_sentences, load_treebank
from tfmem.messages.errors import InputError
from tfmem.messages.quiet import import_tensorflow

__all__ = [
    "AnyDataset",
    "Dataset",
    "ImageDataset",
    "StreamedDataset",
    "StructuredDataset",
    "TextDataset",
    "has_classes",
    "ids_of",
    "load",
]


_LOCAL = ("npz", "image_folder", "text_files", "table", "treebank", "saved", "labels")


def load(settings: DatasetSettings) -> AnyDataset:
    """Loads the data set that `settings` names, keeps some classes, and adds label noise.

    Returns:
      A `StreamedDataset` if `dataset.image_size` is set, a `TextDataset` for text, else a
      `Dataset`.

    Raises:
      InputError: if a file, a name or a setting is wrong; the error says what to do.
    """
    dataset = _load(settings)
    if settings.text is not None and isinstance(dataset, TextDataset):
        dataset = _chosen(dataset, settings.text)
    if settings.classes is not None:
        dataset = keep_classes(dataset, settings.classes)
    if has_classes(dataset) and not np.ptp(dataset.train_labels):
        name = dataset.class_names[dataset.train_labels[0]]
        raise InputError(
            f"{dataset.name}: expected training examples of at least 2 classes, all "
            f"{len(dataset.train_labels):,} are of class {name!r}"
        )
    if settings.label_noise:
        dataset = add_label_noise(dataset, settings.label_noise, settings.label_noise_seed)
    return dataset


def _chosen(dataset: TextDataset, settings: TextSettings) -> TextDataset:
    """As many texts as `settings` ask for, with canaries among them."""
    if settings.most is not None:
        splits = zip(("train", "test"), settings.most, strict=True)
        dataset = dataset.keep(
            *(drawn_rows(len(getattr(dataset, f"{name}_texts")), most) for name, most in splits)
        )
    return dataset if settings.canaries is None else plant(dataset, settings.canaries)


def _load(settings: DatasetSettings) -> AnyDataset:
    """Loads a data set from the files in `data_dir` if their form is known, else through TFDS."""
    path = Path(settings.data_dir).expanduser() if settings.data_dir is not None else None
    if settings.name == "python":
        return load_python(settings)
    if settings.name in _LOCAL and path is None:
        raise InputError(f"dataset.data_dir: expected a path with dataset.name={settings.name}")
    if path is not None:
        if settings.name == "npz":
            _refuse_settings_of_streams(settings)
            return load_npz(path, settings)
        if settings.name == "labels":
            return load_labels(path)
        if not path.is_dir():
            raise InputError(f"dataset.data_dir: no such folder: {path}")
        if settings.name == "saved":
            return load_saved(path)
        if settings.name == "image_folder":
            return load_image_folder(path, settings)
        if settings.name == "text_files":
            return load_text_files(path, settings)
        if settings.name == "table":
            return load_table(path, settings)
        if settings.name == "treebank":
            if settings.text is not None:
                return load_sentences(path, settings.test_split, settings.text.tokens)
            return load_treebank(path, settings.test_split)
        if (dataset := load_official(settings.name, path)) is not None:
            _refuse_settings_of_streams(settings)
            return dataset
        settings = settings.model_copy(update={"data_dir": str(path)})
    plain = settings.image_size is None and settings.test_split == "test"
    if settings.name == "digits" and path is None and plain:
        return load_digits()  # the same as through TFDS, which takes seconds to import
    import_tensorflow()
    from tfmem.datasets.tfds_source import load_tfds

    return load_tfds(settings)


def _refuse_settings_of_streams(settings: DatasetSettings) -> None:
    for key, received in (("image_size", settings.image_size), ("test_split", settings.test_split)):
        if received not in (None, "test"):
            raise InputError(
                f"dataset.{key}: only image folders and data sets of TFDS take this setting; "
                f"{settings.name} in {settings.data_dir} does not, received {received!r}"
            )
