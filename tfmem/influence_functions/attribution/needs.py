"""Checks that settings and data fit attribution, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, StreamedDataset, StructuredDataset, TextDataset
from tfmem.messages.errors import InputError


def check_attribution(config: Config, dataset: AnyDataset) -> None:
    """Checks that examples can be split into parts, and that the requested examples exist.

    Args:
      config: the model, and `attribution`.
      dataset: the examples.

    Raises:
      InputError: naming the setting that does not fit.
    """
    if isinstance(dataset, TextDataset):
        if not isinstance(config.model, EncoderSettings | TransformerSettings):
            raise InputError(f"model.name: expected encoder or transformer for {dataset.name}")
    elif isinstance(dataset, StreamedDataset):
        raise InputError("dataset.image_size: attribution needs a data set in memory")
    elif isinstance(dataset, StructuredDataset):
        raise InputError(f"{dataset.name}: attribution needs images or texts, received columns")
    else:
        check_patch(dataset.train_images.shape, config.attribution.patch)
    check_examples(config.attribution.examples, len(dataset.train_labels))


def check_examples(examples: Sequence[int], count: int) -> None:
    """Checks that numbers are indices of training examples.

    Args:
      examples: the numbers.
      count: how many training examples there are.

    Raises:
      InputError: naming the first number that is no such index.
    """
    for index in examples:
        if not 0 <= index < count:
            raise InputError(
                f"attribution.examples: expected numbers from 0 to {count - 1}, received {index}"
            )


def check_patch(shape: Sequence[int], patch: int) -> None:
    """Checks that examples are images, and larger than a patch.

    Args:
      shape: of all examples, `[examples, height, width, channels]` if they are images.
      patch: side of a patch in pixels.

    Raises:
      InputError: if they are not.
    """
    if len(shape) != 4:
        raise InputError(
            f"attribution: expected texts or images [height, width, channels], received "
            f"examples of shape {list(shape[1:])}"
        )
    height, width = shape[1:3]
    if not 1 <= patch < max(height, width):
        raise InputError(
            f"patch: expected from 1 to {max(height, width) - 1} pixels, for images of "
            f"{height} x {width}, received {patch}"
        )
