"""A data set that lies on the device, from which programs gather their batches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfmem.datasets import Dataset
from tfmem.datasets.padding import lengths

_SCALED_AT_ONCE = 256 << 20  # bytes; larger data sets are scaled batch by batch


class ResidentExamples:
    """All images and labels of a data set, the training examples first.

    `all_targets` has what models are trained to predict, `[count, ...]`.

    Small sets are kept as scaled float32. Larger ones are kept as float16, which holds the 256 grey
    levels exactly, and which GPUs can gather, unlike uint8.
    """

    def __init__(self, dataset: Dataset, fixed_shape: bool = False) -> None:
        """Copies a data set to the current device, or to each replica of the current strategy.

        Args:
          dataset: the examples.
          fixed_shape: whether all batches have the same shape, as XLA needs; otherwise a batch
            leaves out padding that none of its examples needs.
        """
        images = np.concatenate([dataset.train_images, dataset.test_images])
        self._lengths = None
        if dataset.padded and not fixed_shape:
            self._lengths = tf.Variable(lengths(images), trainable=False)
        self._scale = 1.0
        if 4 * images.size <= _SCALED_AT_ONCE:
            images = images.astype(np.float32) / np.float32(dataset.white)
        elif images.dtype == np.uint8:
            self._scale = float(dataset.white)
            images = images.astype(np.float16)
        self._label_array = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.all_targets = self._label_array
        self._targets = None
        if dataset.train_targets is not None and dataset.test_targets is not None:
            self.all_targets = np.concatenate([dataset.train_targets, dataset.test_targets])
            self._targets = tf.Variable(self.all_targets, trainable=False)
        self._images = tf.Variable(images, trainable=False)
        # GPUs have no variables of int32.
        self._labels = tf.Variable(self._label_array.astype(np.int64), trainable=False)
        self.num_train = len(dataset.train_labels)
        self.count = len(self._label_array)

    def images(self, indices: tf.Tensor) -> tf.Tensor:
        """Images in the form in which they are kept, `[len(indices), ...]`."""
        images = tf.gather(self._images, indices)
        if self._lengths is None:
            return images
        return images[:, : tf.reduce_max(tf.gather(self._lengths, indices))]

    def labels(self, indices: tf.Tensor) -> tf.Tensor:
        """Labels, int32 `[len(indices)]`."""
        return tf.cast(tf.gather(self._labels, indices), tf.int32)

    def targets(self, indices: tf.Tensor) -> tf.Tensor:
        """What models are trained to predict, `[len(indices), ...]`; or labels."""
        return self.labels(indices) if self._targets is None else tf.gather(self._targets, indices)

    def scaled(self, images: tf.Tensor) -> tf.Tensor:
        """Images as models see them: float32."""
        images = tf.cast(images, tf.float32)
        return images if self._scale == 1.0 else images / self._scale

    def batches(
        self, order: np.ndarray, batch_size: int, boxes: None = None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields batches of indices and labels, int32 `[batch]` each, in the order `order`."""
        del boxes  # images of one size are not scaled
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size].astype(np.int32)
            yield chosen, self._label_array[chosen].astype(np.int32)

    def in_order(self, test: bool, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields batches of all indices and labels of a split, in index order."""
        first, end = (self.num_train, self.count) if test else (0, self.num_train)
        return self.batches(np.arange(first, end), batch_size)
