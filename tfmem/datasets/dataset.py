"""A data set in memory: examples with a stable index, and a fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """Training and test images of one classification task; an example's index is its row.

    Attributes:
      name: what the data set is called.
      train_images: uint8 `[num_train, height, width, channels]`.
      train_labels: int64 `[num_train]`, classes from 0.
      test_images: uint8 `[num_test, height, width, channels]`.
      test_labels: int64 `[num_test]`.
      class_names: one name a class.
      white: the pixel value of full intensity; models see images divided by it.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    white: int = 255

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of all images and labels in index order, their shapes and the class names."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
        digest.update("\0".join(self.class_names).encode())
        return digest.digest()
