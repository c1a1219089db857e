"""A data set in memory: examples with a stable index, and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tfmem.store.npz import row_blocks


@dataclass(frozen=True, repr=False)
class Dataset:
    """Training and test examples of one classification task; an example's index is its row.

    Attributes:
      name: the data set's name.
      train_images: `[num_train, ...]`, of any numeric type: mostly uint8
        `[num_train, height, width, channels]`, or float features `[num_train, width]`.
      train_labels: int64 `[num_train]`, classes from 0.
      test_images: `[num_test, ...]`, with the type and, except for the first axis, the shape of
        `train_images`.
      test_labels: int64 `[num_test]`.
      class_names: one name for each class.
      white: the value of full intensity, 1 for floats; models see images divided by it.
      clean_train_labels: int64 `[num_train]`, the training labels before some were replaced at
        random; None if none were.
      padded: whether examples are sequences that end in zeros, which batches may leave out.
      notes: sentences on how the examples were read, which a run prints at its start: what was left
        out, where and why, and what was changed.
      train_targets: `[num_train, ...]`, what models are trained to predict; None if that is the
        label.
      test_targets: `[num_test, ...]`, likewise.
      train_ids: the user's own name of each training example, strings `[num_train]`; None if there
        are none.
      test_ids: strings `[num_test]`, likewise.
      has_classes: whether labels are classes. Without classes all labels are 0, and the only class
        is called `all examples`.
      vocabulary: number of tokens of a language, if examples are texts whose tokens models predict;
        targets of 0 are then not predicted. 0 for all else.
      packed: whether the texts of a batch share windows in training (see `TokenSettings`).
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    white: int = 255
    clean_train_labels: np.ndarray | None = None
    padded: bool = False
    notes: tuple[str, ...] = ()
    train_targets: np.ndarray | None = None
    test_targets: np.ndarray | None = None
    train_ids: np.ndarray | None = None
    test_ids: np.ndarray | None = None
    has_classes: bool = True
    vocabulary: int = 0
    packed: bool = False

    def __repr__(self) -> str:
        return described(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, as models see it."""
        return self.train_images.shape[1:]

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of all images and labels in index order, their shapes and the class names."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            add_array(digest, array)
        digest.update("\0".join(self.class_names).encode())
        for targets in (self.train_targets, self.test_targets):
            if targets is not None:
                add_array(digest, targets)
        return digest.digest()

    def keep(self, train: np.ndarray, test: np.ndarray) -> Dataset:
        """The data set reduced to some rows.

        Args:
          train: int64 `[kept]`, the rows of the training examples, in their new order.
          test: int64 `[kept]`, the rows of the test examples, in their new order.
        """
        return replace(
            self,
            train_images=self.train_images[train],
            train_labels=self.train_labels[train],
            test_images=self.test_images[test],
            test_labels=self.test_labels[test],
            clean_train_labels=rows_or_none(self.clean_train_labels, train),
            train_targets=rows_or_none(self.train_targets, train),
            test_targets=rows_or_none(self.test_targets, test),
            train_ids=rows_or_none(self.train_ids, train),
            test_ids=rows_or_none(self.test_ids, test),
        )


def described(dataset: Any) -> str:
    """A data set in one line: its kind, name, and numbers of examples and classes."""
    train, test = len(dataset.train_labels), len(dataset.test_labels)
    classes = len(dataset.class_names)
    kinds = f", {classes:,} classes" if getattr(dataset, "has_classes", True) else ""
    kind = type(dataset).__name__
    return f"{kind}({dataset.name}: {train:,} training, {test:,} test examples{kinds})"


def add_array(digest: hashlib._Hash, array: np.ndarray) -> None:
    """Adds type, shape and contents of an array `[rows, ...]` to a hash."""
    digest.update(f"{array.dtype.str}{array.shape}".encode())
    for rows in row_blocks(array):
        digest.update(np.ascontiguousarray(rows).data)


def rows_or_none(values: np.ndarray | None, chosen: np.ndarray) -> np.ndarray | None:
    """Some rows of an array, or None of None."""
    return None if values is None else values[chosen]
