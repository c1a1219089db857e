"""Which words or patches the memorization of an example rests on."""

from __future__ import annotations

from tfmem.attribution.integral import (
    Attribution,
    BlendInfluence,
    Parts,
    Splitter,
    attributions,
    directions,
)
from tfmem.attribution.patches import Baseline, Patches
from tfmem.attribution.words import EncoderWords, TransformerWords
from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, StreamedDataset, TextDataset
from tfmem.errors import InputError
from tfmem.self_influence import Objective

__all__ = [
    "Attribution",
    "BlendInfluence",
    "EncoderWords",
    "Parts",
    "Patches",
    "Splitter",
    "TransformerWords",
    "attributions",
    "directions",
    "splitter",
]


def splitter(
    config: Config,
    dataset: AnyDataset,
    objective: Objective,
    patch: int = 2,
    baseline: Baseline = "black",
) -> Splitter:
    """The way to take a configuration's examples apart: texts into words, images into patches.

    Args:
      config: names the model.
      dataset: the examples as they are loaded.
      objective: at the trained model.
      patch: of images, see `Patches`.
      baseline: likewise.

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
    return Patches(objective.model, images, patch, baseline)
