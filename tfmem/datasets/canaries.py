"""Plants texts of random words among training texts, which models can only know by heart."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from tfmem.config import CanarySettings
from tfmem.datasets.text import TextDataset
from tfmem.messages.errors import InputError

_STREAM = 0x63616E61  # keeps these random numbers apart from those of any trial


def plant(dataset: TextDataset, settings: CanarySettings) -> TextDataset:
    """Adds canaries after the training texts, each as often as `settings.copies` says.

    A canary has `settings.length` words, drawn with equal probability from the most frequent words
    of the training texts, which white space separates. The canaries with the first number of copies
    come first, and the copies of one canary follow each other.

    Args:
      dataset: texts without classes.
      settings: numbers of canaries, of copies and of words, and the seed that decides the words.

    Returns:
      The data set with canaries; `train_copies` says which examples they are.

    Raises:
      InputError: if examples have two sentences each.
    """
    if dataset.train_texts.shape[1] != 1:
        raise InputError(
            "dataset.text.canaries: expected one text for each example (dataset.text.columns), "
            f"received {dataset.train_texts.shape[1]}"
        )
    counts = Counter(word for (text,) in dataset.train_texts for word in text.lower().split())
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = np.array(ranked[: settings.words])
    kinds = len(settings.copies) * settings.count
    stream = np.random.SeedSequence(settings.seed, spawn_key=(_STREAM,))
    drawn = np.random.PCG64(stream).random_raw(kinds * settings.length) % len(words)
    canaries = [" ".join(row) for row in words[drawn].reshape(kinds, settings.length)]
    copies = np.repeat(settings.copies, settings.count)
    planted = np.repeat(np.array(canaries, np.dtypes.StringDType()), copies)[:, None]
    before = len(dataset.train_texts)
    said = ", ".join(
        f"{settings.count} {'once' if each == 1 else f'{each} times'}" for each in settings.copies
    )
    return replace(
        dataset,
        train_texts=np.concatenate([dataset.train_texts, planted]),
        train_labels=np.zeros(before + len(planted), np.int64),
        train_copies=np.concatenate([np.zeros(before, np.int64), np.repeat(copies, copies)]),
        notes=(*dataset.notes, f"planted canaries of {settings.length} random words: {said}"),
    )
