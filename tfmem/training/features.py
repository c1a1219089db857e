"""Stores what a layer of one model, trained on everything, makes of each example."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.encoders import as_arrays
from tfmem.errors import InputError
from tfmem.subsets import Trial
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.outcome import Outcome, WatcherOf
from tfmem.training.trainers import model_builder


def write_features(
    config: Config, dataset: AnyDataset, path: Path, layer: str, watch: WatcherOf
) -> Outcome:
    """Trains a model on all training examples and writes the outputs of one of its layers.

    The model is that of trial 0, but for its subset (Feldman & Zhang 2020, Sec. 3.3: the
    representation is learned once, the last layer per subset).

    Args:
      config: model and recipe.
      dataset: the examples.
      path: the npz file to write: `train_features` and `test_features` float32 `[count, ...]`,
        `train_labels`, `test_labels`, `class_names`; it appears when it is complete.
      layer: the layer, by name.
      watch: makes what follows the training.

    Returns:
      The model's predictions.

    Raises:
      InputError: if there is no such layer, or the file cannot be written.
    """
    examples = as_arrays(config, dataset)
    trainer = MirroredTrainer(model_builder(config, examples), examples, config.training)
    names = [each.name for each in trainer.model.layers]
    if layer not in names:
        raise InputError(f"--layer: expected one of {', '.join(names)}, received {layer!r}")
    everything = np.arange(len(dataset.train_labels))
    (outcome,) = trainer.train([Trial(0, config.seed)], [everything], watch)
    arrays = {
        "train_labels": dataset.train_labels,
        "test_labels": dataset.test_labels,
        "class_names": np.array(dataset.class_names, np.str_),
    }
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as file:
            for name, array in arrays.items():
                with file.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)
            for split in ("train", "test"):
                count = len(arrays[f"{split}_labels"])
                blocks = trainer.activations(layer, split == "test")
                _write_blocks(file, f"{split}_features.npy", count, blocks)
        temporary.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        temporary.unlink(missing_ok=True)
    return outcome


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
