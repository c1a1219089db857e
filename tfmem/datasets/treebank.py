"""Reads the Stanford Sentiment Treebank: sentences as trees, with a polarity at every phrase."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.config import TokenSettings
from tfmem.datasets.text import TextDataset, as_texts, check_classes, without_classes
from tfmem.messages.errors import InputError

NEUTRAL = 2
_POLARITIES = ("0", "1", "2", "3", "4")
_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_ESCAPES = {"-LRB-": "(", "-RRB-": ")", r"\/": "/", r"\*": "*"}


@dataclass(frozen=True)
class Phrase:
    """A node of a tree.

    Attributes:
      sentence: all words of the tree, which its phrases share.
      start: place of the phrase's first word.
      end: place after the phrase's last word.
      polarity: a number from 0, very negative, to 4, very positive.
    """

    sentence: tuple[str, ...]
    start: int
    end: int
    polarity: int

    @property
    def words(self) -> tuple[str, ...]:
        """The words of the phrase."""
        return self.sentence[self.start : self.end]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(self.words)


def read_trees(path: Path) -> list[list[Phrase]]:
    """Reads a file of trees in the form of the Penn Treebank, `(3 (2 It) (4 (2 's) (3 good)))`.

    Args:
      path: a file with one tree in each line, in UTF-8.

    Returns:
      For each line all phrases of the sentence, including single words. A phrase comes before those
      that contain it, so the last one is the sentence.

    Raises:
      InputError: if lines are no trees; the error names them.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: trees cannot be read: {error}") from None
    trees = {number: _parse(line) for number, line in enumerate(lines, 1) if line.strip()}
    wrong = [number for number, tree in trees.items() if tree is None]
    if wrong:
        others = f" (and {len(wrong) - 1:,} more lines)" if len(wrong) > 1 else ""
        raise InputError(
            f"{path}: line {wrong[0]}{others}: expected a tree with a polarity from 0 to 4 at "
            f"every phrase, received {lines[wrong[0] - 1][:60]!r}"
        )
    return [tree for tree in trees.values() if tree is not None]


def _parse(line: str) -> list[Phrase] | None:
    """The phrases of a tree, in time linear in the length of `line`; None if it is no tree."""
    spans: list[tuple[int, int, int]] = []
    opened: list[
        tuple[int, int]
    ] = []  # for each open phrase its polarity and the place of its first word
    words: list[str] = []
    tokens = iter(_TOKEN.findall(line))
    for token in tokens:
        if token == "(":
            polarity = next(tokens, "")
            if polarity not in _POLARITIES or (spans and not opened):
                return None
            opened.append((_POLARITIES.index(polarity), len(words)))
        elif token == ")":
            if not opened or opened[-1][1] == len(words):
                return None
            closed, start = opened.pop()
            spans.append((start, len(words), closed))
        elif opened:
            for escape, character in _ESCAPES.items():
                token = token.replace(escape, character)
            words.append(token)
        else:
            return None
    if opened or not spans:
        return None
    sentence = tuple(words)
    return [Phrase(sentence, *span) for span in spans]


def load_sentences(folder: Path, test_split: str, tokens: TokenSettings | None) -> TextDataset:
    """Reads all sentences of `train.txt` and of the test split, without their polarity.

    An example's index is its line, from 0, among those that are not blank.

    Raises:
      InputError: if a file is missing, or a line is no tree.
    """
    texts = []
    for split in ("train", test_split):
        path = _file(folder, split)
        rows = [[tree[-1].text] for tree in read_trees(path)]
        texts.append(as_texts(rows, ["sentence"], str(path)))
    return without_classes("treebank", texts, tokens)


def load_treebank(folder: Path, test_split: str) -> TextDataset:
    """Reads the positive and negative sentences of `train.txt` and of the test split (SST-2).

    Sentences that are neutral as a whole are left out, which leaves 6,920 to train on and 1,821 to
    test on; an example's index is its rank among the sentences that are kept. `train_phrases`
    counts the phrases of each polarity, including the sentence and its words.

    Raises:
      InputError: if a file is missing, or a line is no tree.
    """
    texts, labels, counts = [], [], []
    for split in ("train", test_split):
        path = _file(folder, split)
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


def _file(folder: Path, split: str) -> Path:
    path = folder / f"{split}.txt"
    if not path.is_file():
        raise InputError(f"{folder}: expected a file of trees called {path.name}, found none")
    return path


def _polarities(tree: list[Phrase]) -> list[int]:
    return [phrase.polarity for phrase in tree]
