"""A data set of texts in memory, with a stable index and a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from tfmem.config import TokenSettings
from tfmem.datasets.dataset import described, rows_or_none
from tfmem.datasets.rows import rows_said
from tfmem.messages.errors import InputError


@dataclass(frozen=True, repr=False)
class TextDataset:
    """Training and test texts, of classes or of a language; an example's index is its row.

    Attributes:
      name: the data set's name.
      train_texts: strings `[num_train, sentences]`, one or two sentences for each example.
      train_labels: int64 `[num_train]`, classes from 0.
      test_texts: strings `[num_test, sentences]`.
      test_labels: int64 `[num_test]`.
      class_names: one name for each class.
      clean_train_labels: int64 `[num_train]`, the training labels before some were replaced at
        random; None if none were.
      train_phrases: int64 `[num_train, 5]`, the number of phrases of each polarity, from very
        negative to very positive, in each training sentence; None if the source does not say.
      notes: sentences on how the examples were read, which a run prints at its start: what was left
        out, where and why, and what was changed.
      has_classes: whether labels are classes. Without classes all labels are 0, and the only class
        is called `all examples`.
      tokens: how texts become the tokens that models predict; None if they predict classes.
      train_copies: int64 `[num_train]`, how many copies of a planted text are among the training
        texts, 0 for texts that were not planted; None if none were.
    """

    name: str
    train_texts: np.ndarray
    train_labels: np.ndarray
    test_texts: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    clean_train_labels: np.ndarray | None = None
    train_phrases: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    has_classes: bool = True
    tokens: TokenSettings | None = None
    train_copies: np.ndarray | None = None

    def __repr__(self) -> str:
        return described(self)

    @cached_property
    def texts_digest(self) -> bytes:
        """SHA-256 of all sentences in index order."""
        digest = hashlib.sha256()
        for texts in (self.train_texts, self.test_texts):
            digest.update(f"{texts.shape}".encode())
            for text in texts.ravel():
                encoded = text.encode()
                digest.update(len(encoded).to_bytes(8, "little") + encoded)
        return digest.digest()

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the class names and of all sentences and labels in index order."""
        digest = hashlib.sha256(self.texts_digest)
        for labels in (self.train_labels, self.test_labels):
            digest.update(np.ascontiguousarray(labels).data)
        digest.update("\0".join(self.class_names).encode())
        return digest.digest()

    def keep(self, train: np.ndarray, test: np.ndarray) -> TextDataset:
        """The data set reduced to some rows.

        Args:
          train: int64 `[kept]`, the rows of the training examples, in their new order.
          test: int64 `[kept]`, the rows of the test examples, in their new order.
        """
        return replace(
            self,
            train_texts=self.train_texts[train],
            train_labels=self.train_labels[train],
            test_texts=self.test_texts[test],
            test_labels=self.test_labels[test],
            clean_train_labels=rows_or_none(self.clean_train_labels, train),
            train_phrases=rows_or_none(self.train_phrases, train),
            train_copies=rows_or_none(self.train_copies, train),
        )


def without_classes(
    name: str, texts: Sequence[np.ndarray], tokens: TokenSettings | None
) -> TextDataset:
    """A data set of training and test texts, strings `[examples, sentences]`, without classes."""
    train, test = (np.zeros(len(split), np.int64) for split in texts)
    return TextDataset(
        name, texts[0], train, texts[1], test, ("all examples",), has_classes=False, tokens=tokens
    )


def as_texts(rows: Sequence[Sequence[str]], columns: Sequence[str], source: str) -> np.ndarray:
    """Converts sentences to strings `[examples, sentences]`, without white space at their ends.

    Args:
      rows: the sentences of each example.
      columns: the names of the columns that hold the sentences.
      source: the name of the table in error messages.

    Raises:
      InputError: if there is no record, or sentences are empty; the error names their records.
    """
    texts = np.array([[text.strip() for text in row] for row in rows], np.dtypes.StringDType())
    if not len(rows):
        raise InputError(f"{source}: expected at least one example, received none")
    for number, column in enumerate(columns):
        if len(empty := np.flatnonzero(texts[:, number] == "")):
            raise InputError(
                f"{source}: {rows_said(empty.tolist())}: {column}: expected a text, received an "
                "empty one"
            )
    return texts


def check_classes(dataset: TextDataset) -> TextDataset:
    """Returns `dataset` if its labels and classes fit together.

    Raises:
      InputError: if an example has a class that does not exist, or a class has no training example.
    """
    for split, labels in (("training", dataset.train_labels), ("test", dataset.test_labels)):
        outside = (labels < 0) | (labels >= len(dataset.class_names))
        for example in np.flatnonzero(outside)[:1]:
            raise InputError(
                f"{dataset.name}: {split} example {example}: expected a class from 0 to "
                f"{len(dataset.class_names) - 1}, received {labels[example]}"
            )
    counts = np.bincount(dataset.train_labels, minlength=len(dataset.class_names))
    if not counts.all():
        absent = int(np.argmin(counts))
        raise InputError(
            f"{dataset.name}: expected training examples of {len(dataset.class_names)} classes, "
            f"class {absent} ({dataset.class_names[absent]}) has none"
        )
    return dataset
