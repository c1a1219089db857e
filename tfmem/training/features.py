"""Stores the outputs of layers of one model, trained on all examples, for each example."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import keras
import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.encoders import as_arrays
from tfmem.messages.errors import InputError
from tfmem.models.tails import cut
from tfmem.store.files import complete_file
from tfmem.subsets import Trial
from tfmem.training.learning import check_learned
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.platforms import OneByOne
from tfmem.training.trainers import trainer_of_one


def write_features(
    config: Config, dataset: AnyDataset, files: Mapping[str | int, Path], watch: WatcherOf
) -> TrialOutcome:
    """Trains a model on all training examples and writes the outputs of some of its layers.

    The model has the seeds of trial 0 (Feldman & Zhang 2020, Sec. 3.3: the representation is
    learned once, and the last layer for each subset).

    Args:
      config: model and recipe.
      dataset: the examples.
      files: the npz file of each layer. A file holds `train_features` and `test_features` float32
        `[count, width]`, or, for a layer that keeps positions, `train_images` and `test_images`
        float32 `[count, ...]`; `train_labels`, `test_labels`, `class_names`; and `test_correct`,
        bool, of the model itself. It appears only when it is complete. The key is the name of a
        layer, or a number of last blocks, for the layer below them (see `tfmem.models.tails`).
      watch: makes the watcher of the training.

    Returns:
      The model's predictions.

    Raises:
      InputError: if the model has no such layer or diverged, or if a file cannot be written.
    """
    examples = as_arrays(config, dataset)
    trainer = trainer_of_one(config, examples)
    layers = {_layer(trainer.model, key): path for key, path in files.items()}
    everything = np.arange(len(dataset.train_labels))
    (outcome,) = trainer.train([Trial(0, config.seed)], [everything], watch)
    check_learned(outcome.loss, config.training)
    arrays = {
        "train_labels": dataset.train_labels,
        "test_labels": dataset.test_labels,
        "class_names": np.array(dataset.class_names, np.str_),
        "test_correct": np.asarray(outcome.test.correct, bool),
    }
    for layer, path in layers.items():
        _write(trainer, layer, arrays, path)
    return outcome


def _layer(model: keras.Model, key: str | int) -> str:
    if isinstance(key, int):
        return cut(model, key)
    names = [each.name for each in model.layers]
    if key not in names:
        raise InputError(f"--layer: expected one of {', '.join(names)}, received {key!r}")
    return key


def _write(trainer: OneByOne, layer: str, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    kind = "features" if len(trainer.model.get_layer(layer).output.shape) == 2 else "images"
    try:
        with complete_file(path) as opened, zipfile.ZipFile(opened, "w") as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            for split in ("train", "test"):
                count = len(arrays[f"{split}_labels"])
                blocks = trainer.activations(layer, split == "test")
                _write_blocks(file, f"{split}_{kind}.npy", count, blocks)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _write_blocks(
    file: zipfile.ZipFile, name: str, count: int, blocks: Iterator[np.ndarray]
) -> None:
    """Writes an array block by block, so that it is never in memory as a whole."""
    with file.open(name, "w", force_zip64=True) as member:
        for number, block in enumerate(blocks):
            block = np.ascontiguousarray(block, "<f4")
            if not number:
                shape = (count, *block.shape[1:])
                header = {"descr": "<f4", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(member, header)
            member.write(block.data)
