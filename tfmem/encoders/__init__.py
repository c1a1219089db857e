"""Texts as the arrays that models take: activations of a frozen encoder, or numbers of tokens.

This room knows neither subsets nor training.
"""

from __future__ import annotations

import numpy as np

from tfmem.config import Config, EncoderSettings, TransformerSettings
from tfmem.datasets import AnyDataset, Dataset, ImageDataset, StructuredDataset, TextDataset
from tfmem.encoders.languages import sequences
from tfmem.encoders.location import with_encoder_digest
from tfmem.encoders.tokens import Words, warn_of_cut
from tfmem.messages.errors import InputError

__all__ = ["as_arrays", "sequences", "with_encoder_digest"]


def as_arrays(config: Config, dataset: AnyDataset) -> ImageDataset:
    """Converts a data set to the arrays that the configuration's model takes.

    Args:
      config: the settings, with `model.digest` if the model is an encoder.
      dataset: the examples; examples that are arrays already are returned unchanged.

    Returns:
      For texts with tokens, what `sequences` returns, whatever the model. For `model.name`
      `encoder`, activations; see `activations`. For `transformer`, int32 `[examples, length]`, the
      numbers of words in `Words`, with zeros after the last word.

    Raises:
      InputError: if examples are texts and the model takes no texts, or as `activations` does.
    """
    if isinstance(dataset, StructuredDataset):
        raise InputError(
            f"model.name: {config.model.name} takes one array for each example, those of "
            f"{dataset.name} have {len(dataset.train_inputs)} inputs with names: expected python"
        )
    if not isinstance(dataset, TextDataset):
        return dataset
    if dataset.tokens is not None:
        return sequences(dataset)
    match config.model:
        case EncoderSettings():
            from tfmem.encoders.activations import activations

            train, test = activations(config.model, dataset)
        case TransformerSettings():
            train, test = _word_numbers(config.model, dataset)
        case _:
            raise InputError(
                f"model.name: expected encoder or transformer, which take texts as those of "
                f"{dataset.name}, received {config.model.name}"
            )
    return Dataset(
        dataset.name,
        train,
        dataset.train_labels,
        test,
        dataset.test_labels,
        dataset.class_names,
        white=1,
        clean_train_labels=dataset.clean_train_labels,
        padded=train.ndim == 3 or train.dtype == np.int32,
    )


def _word_numbers(
    settings: TransformerSettings, dataset: TextDataset
) -> tuple[np.ndarray, np.ndarray]:
    words = Words(dataset.train_texts, settings.vocabulary)
    splits = dataset.train_texts, dataset.test_texts
    train, test = (words.tokenize(texts, settings.length) for texts in splits)
    warn_of_cut(train.cut + test.cut, dataset, settings.length)
    return train.ids, test.ids
