"""Examples that are too large for a device: their batches are gathered on the host."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.structured import arranged
from tfmem.training.inputs import check_numbers
from tfmem.training.resident import ResidentExamples
from tfmem.training.sizes import are_too_large, bytes_of

_FED_AT_ONCE = 64 << 20  # bytes of the examples that a program receives at once


class HostExamples:
    """All inputs and targets of a data set, with the methods of `ResidentExamples`.

    They stay where they are: in memory, or on disk behind a memory map. Programs receive the
    examples of some batches themselves, in place of their indices. Models learn the same.

    Attributes:
      num_train: number of training examples.
      count: number of all examples.
      all_targets: what models are trained to predict, `[count, ...]`.
    """

    def __init__(self, dataset: Dataset | StructuredDataset) -> None:
        """Takes the data set.

        Raises:
          InputError: if an input holds no numbers.
        """
        self._white = 1
        if isinstance(dataset, StructuredDataset):
            check_numbers(dataset)
            self._inputs: Any = {
                name: (values, dataset.test_inputs[name])
                for name, values in dataset.train_inputs.items()
            }
        else:
            self._inputs = (dataset.train_images, dataset.test_images)
            self._white = dataset.white
        self._labels = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.all_targets, self._has_targets = self._labels, False
        if dataset.train_targets is not None and dataset.test_targets is not None:
            self.all_targets = np.concatenate([dataset.train_targets, dataset.test_targets])
            self._has_targets = True
        self.num_train = len(dataset.train_labels)
        self.count = len(self._labels)
        self._bytes = max(1, bytes_of(dataset))

    def most_at_once(self, count: int) -> int:
        """The number of examples, of `count`, that programs should receive at once."""
        return min(count, _FED_AT_ONCE // self._bytes)

    def feed(self, indices: np.ndarray) -> dict[str, Any]:
        """Inputs, labels and targets as programs receive them, `[*indices.shape, ...]` by name."""
        fed = {"inputs": self._gathered(indices), "labels": self._labels[indices].astype(np.int32)}
        if self._has_targets:
            fed["targets"] = self.all_targets[indices]
        return fed

    def _gathered(self, indices: np.ndarray) -> Any:
        if isinstance(self._inputs, dict):
            return {name: self._rows(pair, indices) for name, pair in self._inputs.items()}
        return self._rows(self._inputs, indices)

    def _rows(self, pair: tuple[np.ndarray, np.ndarray], indices: np.ndarray) -> np.ndarray:
        (train, test), is_test = pair, indices >= self.num_train
        if not is_test.any():
            return np.asarray(train[indices])
        rows = np.empty((*indices.shape, *train.shape[1:]), train.dtype)
        rows[~is_test] = train[indices[~is_test]]
        rows[is_test] = test[indices[is_test] - self.num_train]
        return rows

    def images(self, fed: Any) -> Any:
        """Inputs in the form in which they are kept."""
        return fed["inputs"]

    def labels(self, fed: Any) -> tf.Tensor:
        """Labels, int32."""
        return fed["labels"]

    def targets(self, fed: Any, labels: tf.Tensor | None = None) -> tf.Tensor:
        """What models are trained to predict; or labels."""
        if not self._has_targets:
            return fed["labels"] if labels is None else labels
        return _as_models_see(fed["targets"])

    def scaled(self, images: Any) -> Any:
        """Inputs as models see them (see `ResidentExamples.scaled`)."""
        if isinstance(images, dict):
            return arranged({name: _as_models_see(values) for name, values in images.items()})
        return _as_models_see(images, self._white)

    def batches(
        self, order: np.ndarray, batch_size: int, boxes: None = None
    ) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields batches of examples and their labels, int32 `[batch]`, in the order `order`."""
        del boxes  # images of one size are not scaled
        for start in range(0, len(order), batch_size):
            fed = self.feed(order[start : start + batch_size])
            yield fed, fed["labels"]

    def in_order(self, test: bool, batch_size: int) -> Iterator[tuple[Any, np.ndarray]]:
        """Yields batches of all examples and labels of a split, in index order."""
        first, end = (self.num_train, self.count) if test else (0, self.num_train)
        return self.batches(np.arange(first, end), batch_size)


Examples: TypeAlias = ResidentExamples | HostExamples


def _as_models_see(values: tf.Tensor, white: int = 1) -> tf.Tensor:
    if values.dtype == tf.bool or (values.dtype.is_integer and white == 1):
        return values
    values = tf.cast(values, tf.float32)
    return values if white == 1 else values / white


def placed_examples(
    dataset: Dataset | StructuredDataset, settings: TrainingSettings, fixed_shape: bool
) -> Examples:
    """Examples on the current device, or on the host if they are too large.

    Args:
      dataset: the examples.
      settings: the share of free memory that they may take.
      fixed_shape: whether all batches have the same shape (see `ResidentExamples`).
    """
    of_texts = isinstance(dataset, Dataset) and (dataset.padded or dataset.packed)
    if of_texts or not are_too_large(dataset, settings):
        return ResidentExamples(dataset, fixed_shape)
    return HostExamples(dataset)
