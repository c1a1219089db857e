"""The texts of a page, and which of their words are memorized."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfmem.datasets import TextDataset


class Word(NamedTuple):
    """A word of a text that a model has memorized.

    Attributes:
      text: the word.
      score: its part of `M_replace / n`, which is memorization in so far as the words of the text,
        not the rest of it, are memorized; those of a text sum to it.
      strength: the same from -1 to 1, over the largest of the text.
    """

    text: str
    score: float
    strength: float


@dataclass(frozen=True)
class Texts:
    """The texts of some examples, in their order.

    Attributes:
      sentences: one or two an example.
      words: of some examples, by position, the words of each sentence.
    """

    sentences: tuple[tuple[str, ...], ...]
    words: dict[int, list[list[Word]]]

    @property
    def data(self) -> dict[str, Any]:
        """Sentences and words as values that JSON can hold."""
        return {"sentences": self.sentences, "words": self.words}


def texts(
    dataset: TextDataset, split: str, index: Sequence[int], attributions: pd.DataFrame | None = None
) -> Texts:
    """The texts of some examples of a split, `train` or `test`.

    Args:
      dataset: has them.
      split: which.
      index: which examples, in which order.
      attributions: by index of an example its `words`, their `scores`, and which of its `sentences`
        each is of (see `read_attributions`); or None.
    """
    of_split = getattr(dataset, f"{split}_texts")
    sentences = tuple(tuple(str(text) for text in of_split[each]) for each in index)
    words: dict[int, list[list[Word]]] = {}
    count = len(dataset.train_texts)
    if attributions is not None:
        for position, each in enumerate(index):
            if each not in attributions.index:
                continue
            row = attributions.loc[each]
            largest = np.abs(row["scores"]).max(initial=0) or 1.0
            words[position] = [[] for _ in sentences[position]]
            for word, score, of in zip(row["words"], row["scores"], row["sentences"], strict=True):
                numbers = round(float(score / count), 5), round(float(score / largest), 3)
                words[position][of].append(Word(word, *numbers))
    return Texts(sentences, words)
