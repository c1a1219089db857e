"""A data set that lies on the device, from which programs gather their batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.padding import lengths
from tfmem.datasets.structured import arranged
from tfmem.training.inputs import SCALED_AT_ONCE, numbers_of
from tfmem.training.packing import packing_of, with_padding


class _Kept(NamedTuple):
    """An array on the device.

    Attributes:
      values: the array, in a type that GPUs can gather (which uint8 and int32 are not).
      scale: what values are divided by.
      dtype: the type in which models receive them.
    """

    values: tf.Variable
    scale: float
    dtype: tf.DType


def _keep(values: np.ndarray, white: float = 1) -> _Kept:
    """Small arrays are kept as scaled float32; larger uint8 as float16, which holds it exactly."""
    scale = 1.0
    dtype = tf.float32
    if values.dtype.kind in "iu" and white == 1:
        dtype = tf.as_dtype(values.dtype)
        values = values.astype(np.float16 if values.dtype == np.uint8 else np.int64)
    elif values.dtype.kind == "b":
        dtype = tf.bool
    elif 4 * values.size <= SCALED_AT_ONCE:
        values = values.astype(np.float32) / np.float32(white)
    elif values.dtype == np.uint8:
        scale, values = float(white), values.astype(np.float16)
    return _Kept(tf.Variable(values, trainable=False), scale, dtype)


class ResidentExamples:
    """All inputs and targets of a data set, the training examples first.

    Attributes:
      num_train: number of training examples.
      count: number of all examples.
      all_targets: what models are trained to predict, `[count, ...]`.
    """

    def __init__(self, dataset: Dataset | StructuredDataset, fixed_shape: bool = False) -> None:
        """Copies a data set to the current device, or to each replica of the current strategy.

        Args:
          dataset: the examples.
          fixed_shape: whether all batches have the same shape, as XLA needs; otherwise a batch
            leaves out padding that none of its examples needs.

        Of texts that are packed, programs receive batches as places of tokens (see `Packing`).

        Raises:
          InputError: if an input holds no numbers.
        """
        self._lengths = None
        self._packing = None
        if isinstance(dataset, StructuredDataset):
            self._inputs: Any = {
                name: _keep(values) for name, values in numbers_of(dataset).items()
            }
        else:
            images = np.concatenate([dataset.train_images, dataset.test_images])
            self._packing = packing_of(dataset)
            self._inputs = _keep(with_padding(images, dataset), dataset.white)
            if dataset.padded and not fixed_shape:
                self._lengths = tf.Variable(lengths(images), trainable=False)
        self._label_array = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.all_targets = self._label_array
        self._targets = None
        if dataset.train_targets is not None and dataset.test_targets is not None:
            self.all_targets = np.concatenate([dataset.train_targets, dataset.test_targets])
            self._targets = _keep(with_padding(self.all_targets, dataset))
        # GPUs have no variables of int32.
        self._labels = tf.Variable(self._label_array.astype(np.int64), trainable=False)
        self.num_train = len(dataset.train_labels)
        self.count = len(self._label_array)

    def most_at_once(self, count: int) -> int:
        """The number of examples, of `count`, that programs should receive at once: all."""
        return count

    def feed(self, indices: np.ndarray) -> np.ndarray:
        """Examples as programs receive them: their indices, int32.

        Of batches of texts that are packed, int32 `[..., windows, length]`, places of tokens.
        """
        if self._packing is not None and indices.ndim > 1:
            return self._packing.places(indices)
        return indices.astype(np.int32)

    def images(self, indices: tf.Tensor) -> Any:
        """Inputs in the form in which they are kept, `[len(indices), ...]`, or such by name."""
        if isinstance(self._inputs, dict):
            return {name: tf.gather(kept.values, indices) for name, kept in self._inputs.items()}
        images = self._taken(self._inputs, indices)
        if self._lengths is None:
            return images
        return images[:, : tf.reduce_max(tf.gather(self._lengths, indices))]

    def labels(self, indices: tf.Tensor) -> tf.Tensor:
        """Labels, int32 `[len(indices)]`."""
        return tf.cast(tf.gather(self._labels, indices), tf.int32)

    def targets(self, indices: tf.Tensor, labels: tf.Tensor | None = None) -> tf.Tensor:
        """What models are trained to predict, `[len(indices), ...]`; or labels."""
        if self._targets is None:
            return self.labels(indices) if labels is None else labels
        return _scaled(self._taken(self._targets, indices), self._targets)

    def _taken(self, kept: _Kept, indices: tf.Tensor) -> tf.Tensor:
        """Some examples, or windows of the tokens at some places."""
        if self._packing is not None and len(indices.shape) > 1:
            return tf.gather(tf.reshape(kept.values, [-1]), indices)
        return tf.gather(kept.values, indices)

    def scaled(self, images: Any) -> Any:
        """Inputs as models see them: float32, or integers that are no intensities.

        Several inputs have their names, or are a list if a user gave them without names.
        """
        if isinstance(self._inputs, dict):
            return arranged({name: _scaled(images[name], k) for name, k in self._inputs.items()})
        return _scaled(images, self._inputs)

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


def _scaled(values: tf.Tensor, kept: _Kept) -> tf.Tensor:
    values = tf.cast(values, kept.dtype)
    return values if kept.scale == 1.0 else values / kept.scale
