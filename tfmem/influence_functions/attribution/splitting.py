"""Chooses how the examples of a configuration are split into parts."""

from __future__ import annotations

from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, StreamedDataset, StructuredDataset, TextDataset
from tfmem.influence_functions.attribution.integral import Splitter
from tfmem.influence_functions.attribution.patches import Patches
from tfmem.influence_functions.attribution.words import EncoderWords, TransformerWords
from tfmem.influence_functions.objective import Objective
from tfmem.messages.errors import InputError


def splitter(config: Config, dataset: AnyDataset, objective: Objective) -> Splitter:
    """Returns the splitter of a configuration's examples: texts into words, images into patches.

    Args:
      config: the configuration, with the model and the size of patches.
      dataset: the examples as they are loaded.
      objective: the objective of the trained model.

    Raises:
      InputError: if examples are neither texts nor images.
    """
    if isinstance(dataset, TextDataset):
        if isinstance(config.model, EncoderSettings):
            return EncoderWords(config.model, objective.model, dataset)
        if isinstance(config.model, TransformerSettings):
            return TransformerWords(config.model, objective.model, dataset)
        raise InputError(f"model.name: expected encoder or transformer for {dataset.name}")
    if isinstance(dataset, StreamedDataset):
        raise InputError("dataset.image_size: attribution needs a data set in memory")
    if isinstance(dataset, StructuredDataset):
        raise InputError(f"{dataset.name}: attribution needs images or texts, received columns")
    images = dataset.train_images.astype(objective.dtype) / dataset.white
    wanted = config.attribution
    return Patches(objective.model, images, wanted.patch, wanted.baseline)
