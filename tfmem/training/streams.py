"""Batches of a data set that is read during training."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from tfmem.datasets import StreamedDataset
from tfmem.datasets.pipeline import Split, read_batches


class StreamedExamples:
    """Reads batches of images, with the methods of `ResidentExamples`, for one model at a time."""

    def __init__(self, dataset: StreamedDataset) -> None:
        """Takes the data set."""
        self._dataset = dataset

    def batches(
        self, order: np.ndarray, batch_size: int, boxes: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields training images uint8 `[batch, size, size, 3]` and labels int32, in `order`."""
        return self._read("train", order, batch_size, boxes)

    def in_order(self, test: bool, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields all images and labels of a split, in index order."""
        split: Split = "test" if test else "train"
        return self._read(split, np.arange(len(self._dataset.labels(split))), batch_size, None)

    def _read(
        self, split: Split, order: np.ndarray, batch_size: int, boxes: np.ndarray | None
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        labels = self._dataset.labels(split)
        start = 0
        for images in read_batches(self._dataset, split, order, batch_size, boxes):
            chosen = order[start : start + len(images)]
            yield images.numpy(), labels[chosen].astype(np.int32)
            start += len(images)

    def images(self, batch: tf.Tensor) -> tf.Tensor:
        """Returns the batch itself, which holds images already."""
        return batch

    def targets(self, batch: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Returns the labels, which are what models are trained to predict."""
        del batch
        return labels

    def scaled(self, images: tf.Tensor) -> tf.Tensor:
        """Images as models see them: float32."""
        return tf.cast(images, tf.float32) / self._dataset.white
