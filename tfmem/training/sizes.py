"""Whether the examples of a data set are too large to be copied to where models are trained."""

from __future__ import annotations

import psutil

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.messages.terminal import say

_GB = 1e9


def bytes_of(dataset: Dataset | StructuredDataset) -> int:
    """The bytes that the inputs of one example take."""
    if isinstance(dataset, Dataset):
        return int(dataset.train_images[:1].nbytes)
    return sum(int(values[:1].nbytes) for values in dataset.train_inputs.values())


def are_too_large(dataset: Dataset | StructuredDataset, settings: TrainingSettings) -> bool:
    """Whether inputs take a larger part of the free memory than `training.memory_share` allows."""
    count = len(dataset.train_labels) + len(dataset.test_labels)
    size = count * bytes_of(dataset)
    free = psutil.virtual_memory().available
    if size <= settings.memory_share * free:
        return False
    share = f"{settings.memory_share:.0%} of the {free / _GB:.2g} GB of free memory"
    say(f"examples: {size / _GB:.2g} GB, more than {share} (training.memory_share): read batchwise")
    return True
