"""Texts as the tokens that a causal language model predicts, each from those before it."""

from __future__ import annotations

import numpy as np

from tfmem.datasets import Dataset, TextDataset
from tfmem.encoders.tokens import FIRST, PADDING, SEPARATOR, UNKNOWN, Tokens, Words, warn_of_cut

_FIRST_BYTE = SEPARATOR + 1


def sequences(dataset: TextDataset) -> Dataset:
    """One window for each text, so that every token belongs to one example.

    Tokens are numbered as in `Words`: 0 is padding, 2 begins a text and 3 ends a sentence. A byte
    is its value plus 4.

    Args:
      dataset: texts with `tokens`. The vocabulary is that of all training texts, whichever of them
        a model is trained on.

    Returns:
      int32 `[examples, length]`: the token before each place, and as targets the token at it.
      Targets are 0 where nothing is predicted: after the end of a text, and for unknown words.
    """
    settings = dataset.tokens
    if settings is None:
        raise ValueError("expected texts with tokens")
    words = Words(dataset.train_texts, settings.vocabulary) if settings.unit == "word" else None
    splits = dataset.train_texts, dataset.test_texts
    if words is not None:
        train, test = (words.tokenize(texts, settings.length + 1) for texts in splits)
    else:
        train, test = (_byte_tokens(texts, settings.length + 1) for texts in splits)
    warn_of_cut(train.cut + test.cut, dataset, settings.length, "dataset.text.tokens.length")
    targets = [np.where(part.ids == UNKNOWN, PADDING, part.ids)[:, 1:] for part in (train, test)]
    return Dataset(
        dataset.name,
        train.ids[:, :-1],
        dataset.train_labels,
        test.ids[:, :-1],
        dataset.test_labels,
        dataset.class_names,
        white=1,
        train_targets=targets[0],
        test_targets=targets[1],
        has_classes=False,
        vocabulary=_FIRST_BYTE + 256 if words is None else words.size,
        packed=settings.packed,
    )


def _byte_tokens(texts: np.ndarray, length: int) -> Tokens:
    """The bytes of texts, strings `[examples, sentences]`, between 2 and 3."""
    ids = np.full((len(texts), length), PADDING, np.int32)
    counts, cut = np.zeros(len(texts), np.int64), 0
    for row, sentences in enumerate(texts):
        numbers = [FIRST]
        for text in sentences:
            numbers += [byte + _FIRST_BYTE for byte in text.encode()] + [SEPARATOR]
        counts[row] = min(len(numbers), length)
        cut += len(numbers) > length
        ids[row, : counts[row]] = numbers[:length]
    return Tokens(ids, np.zeros_like(ids), counts, cut)
