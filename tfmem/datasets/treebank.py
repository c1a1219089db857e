"""The Stanford Sentiment Treebank: sentences as trees, with a polarity at every phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.datasets.text import TextDataset, as_texts, check_classes
from tfmem.errors import InputError

NEUTRAL = 2
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", r"\/": "/", r"\*": "*"}


@dataclass(frozen=True)
class Phrase:
    """A node of a tree: its words, and its polarity from 0, very negative, to 4, very positive."""

    words: tuple[str, ...]
    polarity: int

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)


def read_trees(path: Path) -> list[list[Phrase]]:
    """Reads a file of trees in the form of the Penn Treebank, `(3 (2 It) (4 (2 's) (3 good)))`.

    Args:
      path: one tree a line, in UTF-8.

    Returns:
      For each line all phrases of the sentence, single words too, inner ones before those that
      contain them: the last is the sentence.

    Raises:
      InputError: naming the line that is no tree.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: trees cannot be read: {error}") from None
    return [_parse(line, f"{path}: line {number}") for number, line in enumerate(lines, 1) if line]


def _parse(line: str, where: str) -> list[Phrase]:
    phrases: list[Phrase] = []
    opened: list[tuple[int, list[str]]] = []  # polarity and words so far
    tokens = _TOKEN.findall(line)
    position = 0
    while position < len(tokens):
        token = tokens[position]
        position += 1
        if token == "(":
            polarity = tokens[position] if position < len(tokens) else ""
            if polarity not in ("0", "1", "2", "3", "4") or (phrases and not opened):
                break
            opened.append((int(polarity), []))
            position += 1
        elif token == ")" and opened and opened[-1][1]:
            closed, words = opened.pop()
            phrases.append(Phrase(tuple(words), closed))
            if opened:
                opened[-1][1].extend(words)
        elif token != ")" and opened:
            for escape, character in _ESCAPES.items():
                token = token.replace(escape, character)
            opened[-1][1].append(token)
        else:
            break
    else:
        if phrases and not opened:
            return phrases
    raise InputError(
        f"{where}: expected a tree with a polarity from 0 to 4 at every phrase, received "
        f"{line[:60]!r}"
    )


def load_treebank(folder: Path, test_split: str) -> TextDataset:
    """Positive and negative sentences of `train.txt` and of the test split (SST-2).

    Sentences that are neutral as a whole are left out, which leaves 6,920 to train on and 1,821 to
    test on; an example's index is its rank among the others. `train_phrases` counts the phrases of
    each polarity, the sentence and its words among them.

    Raises:
      InputError: naming the file that is missing, or the line that is no tree.
    """
    texts, labels, counts = [], [], []
    for split in ("train", test_split):
        path = folder / f"{split}.txt"
        if not path.is_file():
            raise InputError(f"{folder}: expected a file of trees {path.name}, there is none")
        trees = [tree for tree in read_trees(path) if tree[-1].polarity != NEUTRAL]
        texts.append(as_texts([[tree[-1].text] for tree in trees], ["sentence"], str(path)))
        labels.append(np.array([tree[-1].polarity > NEUTRAL for tree in trees], np.int64))
        counts.append(np.array([np.bincount(_polarities(tree), minlength=5) for tree in trees]))
    return check_classes(
        TextDataset(
            "treebank",
            texts[0],
            labels[0],
            texts[1],
            labels[1],
            ("negative", "positive"),
            train_phrases=counts[0],
        )
    )


def _polarities(tree: list[Phrase]) -> list[int]:
    return [phrase.polarity for phrase in tree]
