"""A data set that stays on disk: encoded images of any size, decoded while training."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeAlias

import numpy as np

from tfmem.datasets.dataset import Dataset, described, rows_or_none
from tfmem.datasets.encoded import EncodedImages
from tfmem.datasets.structured import StructuredDataset
from tfmem.datasets.text import TextDataset
from tfmem.store.predictions import Split


@dataclass(frozen=True, repr=False)
class StreamedDataset:
    """Training and test images of one classification task, read and decoded when they are needed.

    Attributes:
      name: the data set's name.
      train_images: encoded images of the training examples.
      train_labels: int64 `[num_train]`, classes from 0.
      test_images: encoded images of the test examples.
      test_labels: int64 `[num_test]`.
      class_names: one name for each class.
      image_size: side of the square that models see, in pixels.
      resize: length to which an image's shorter side is scaled before the square is cut from its
        centre.
      white: the pixel value of full intensity; models see images divided by it.
      clean_train_labels: int64 `[num_train]`, the training labels before some were replaced at
        random; None if none were.
      notes: sentences on how the examples were read, which a run prints at its start: what was left
        out, where and why, and what was changed.
    """

    name: str
    train_images: EncodedImages
    train_labels: np.ndarray
    test_images: EncodedImages
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    image_size: int
    resize: int
    white: int = 255
    clean_train_labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return described(self)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one example, as models see it."""
        return (self.image_size, self.image_size, 3)

    def images(self, split: Split) -> EncodedImages:
        """The encoded images of a split."""
        return self.train_images if split == "train" else self.test_images

    def labels(self, split: Split) -> np.ndarray:
        """The labels of a split, int64."""
        return self.train_labels if split == "train" else self.test_labels

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of class names, and of all encoded images and labels in index order.

        The fingerprint does not depend on how images are spread over files, nor on the size at
        which models see them (which is in the digest of the settings).
        """
        digest = hashlib.sha256()
        for images, labels in (
            (self.train_images, self.train_labels),
            (self.test_images, self.test_labels),
        ):
            digest.update(f"{len(images)} encoded images".encode())
            digest.update(np.ascontiguousarray(images.digests).data)
            digest.update(np.ascontiguousarray(labels).data)
        digest.update("\0".join(self.class_names).encode())
        return digest.digest()

    def keep(self, train: np.ndarray, test: np.ndarray) -> StreamedDataset:
        """The data set reduced to some examples.

        Args:
          train: int64 `[kept]`, the indices of training examples, in their new order.
          test: int64 `[kept]`, the indices of test examples, in their new order.
        """
        return replace(
            self,
            train_images=self.train_images.keep(train),
            train_labels=self.train_labels[train],
            test_images=self.test_images.keep(test),
            test_labels=self.test_labels[test],
            clean_train_labels=rows_or_none(self.clean_train_labels, train),
        )


ImageDataset: TypeAlias = Dataset | StreamedDataset
AnyDataset: TypeAlias = ImageDataset | TextDataset | StructuredDataset


def has_classes(dataset: AnyDataset) -> bool:
    """Whether the labels of a data set are classes, rather than all the same."""
    return isinstance(dataset, StreamedDataset) or dataset.has_classes


def ids_of(dataset: AnyDataset, split: str) -> np.ndarray | None:
    """The user's own names of the examples of `train` or `test`; None if there are none."""
    known: np.ndarray | None = getattr(dataset, f"{split}_ids", None)
    return known


def default_resize(image_size: int) -> int:
    """The usual length of the shorter side: 256 for a square of 224."""
    return round(image_size * 8 / 7)
