"""The texts of a page, and the attributions of their self-influence to words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from tfmem.datasets import TextDataset


class Word(NamedTuple):
    """A word of a text, with its attribution.

    Attributes:
      text: the word.
      score: its part of `M_replace / n`; the scores of a text sum to `M_replace / n`.
      strength: the score divided by the largest absolute score of the text, from -1 to 1.
    """

    text: str
    score: float
    strength: float


@dataclass(frozen=True)
class Texts:
    """The texts of some examples, in their order.

    Attributes:
      sentences: one or two sentences for each example.
      words: the words of each sentence, by position of the example, where attributions are known.
    """

    sentences: tuple[tuple[str, ...], ...]
    words: dict[int, list[list[Word]]]

    @property
    def data(self) -> dict[str, Any]:
        """Returns sentences and words as values that JSON can hold."""
        return {"sentences": self.sentences, "words": self.words}


def texts(
    dataset: TextDataset, split: str, index: Sequence[int], attributions: pd.DataFrame | None = None
) -> Texts:
    """Collects the texts of some examples of a split.

    Args:
      dataset: the data set with the texts.
      split: `train` or `test`.
      index: the indices of the examples, in order.
      attributions: a table by index of examples: `words`, their `scores`, and the number of the
        sentence of each word in `sentences` (see `read_attributions`); or None.
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
