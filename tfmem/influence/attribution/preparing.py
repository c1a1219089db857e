"""A configuration's solver, and its way to take examples apart."""

from __future__ import annotations

from pathlib import Path

from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, StreamedDataset, TextDataset
from tfmem.influence import Objective
from tfmem.influence.attribution.integral import Splitter
from tfmem.influence.attribution.patches import Patches
from tfmem.influence.attribution.words import EncoderWords, TransformerWords
from tfmem.influence.solver import Solver
from tfmem.influence.trained import kept_solver
from tfmem.messages.errors import InputError


def prepare(config: Config, dataset: AnyDataset, kept: Path) -> tuple[Solver, Splitter]:
    """The solver and the model that self-influences are from, and the way to take examples apart.

    Args:
      config: what they were made with.
      dataset: the examples as they are loaded.
      kept: the folder of their records, beside that of the models.

    Raises:
      InputError: as `splitter` does.
    """
    solver = kept_solver(config, dataset, kept)
    return solver, splitter(config, dataset, solver.objective)


def splitter(config: Config, dataset: AnyDataset, objective: Objective) -> Splitter:
    """The way to take a configuration's examples apart: texts into words, images into patches.

    Args:
      config: names the model, and the patches of images.
      dataset: the examples as they are loaded.
      objective: at the trained model.

    Raises:
      InputError: if examples are neither.
    """
    if isinstance(dataset, TextDataset):
        if isinstance(config.model, EncoderSettings):
            return EncoderWords(config.model, objective.model, dataset)
        if isinstance(config.model, TransformerSettings):
            return TransformerWords(config.model, objective.model, dataset)
        raise InputError(f"model.name: expected encoder or transformer for {dataset.name}")
    if isinstance(dataset, StreamedDataset):
        raise InputError("dataset.image_size: attribution needs a data set in memory")
    images = dataset.train_images.astype(objective.dtype) / dataset.white
    wanted = config.attribution
    return Patches(objective.model, images, wanted.patch, wanted.baseline)
