"""A data set as arrays that programs receive, and from which they take their batches."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from tfmem.datasets import Dataset, StructuredDataset
from tfmem.datasets.structured import arranged
from tfmem.messages.errors import InputError
from tfmem.training.inputs import SCALED_AT_ONCE, numbers_of
from tfmem.training.on_jax.moving import move
from tfmem.training.packing import packing_of, with_padding

Arrays = dict[str, Any]


class Examples(Protocol):
    """A data set, the training examples first, as programs take examples from it.

    Attributes:
      num_train: number of training examples.
      count: number of all examples.
      all_targets: what models are trained to predict, `[count, ...]`.
      arrays: what programs receive as the argument of this name, on one device.
    """

    num_train: int
    count: int
    all_targets: np.ndarray
    arrays: Arrays

    def feed(self, indices: np.ndarray) -> np.ndarray:
        """Batches as programs receive them: indices, or places of tokens (see `Packing`), int32."""

    def inputs(self, arrays: Arrays, indices: Any, moves: Any = None, pad: int = 0) -> Any:
        """Inputs as models see them, `[len(indices), ...]`, or such by name.

        Args:
          arrays: the attribute of this name, which programs receive as an argument.
          indices: int32 `[batch]`, or `[windows, length]` if texts are packed.
          moves: int32 `[batch, 3]`, how images are cropped and mirrored; None leaves them.
          pad: number of zeros around an image before it is cropped.
        """

    def labels(self, arrays: Arrays, indices: Any) -> jax.Array:
        """Labels, int32 `[len(indices)]`."""

    def targets(self, arrays: Arrays, indices: Any) -> jax.Array:
        """What models are trained to predict, `[len(indices), ...]`."""


class ResidentExamples:
    """All inputs and targets of a data set in the memory of a device (see `Examples`).

    Attributes:
      num_train: number of training examples.
      count: number of all examples.
      all_targets: what models are trained to predict, `[count, ...]`.
      arrays: `inputs`, `labels` and `targets` of all examples.
    """

    def __init__(self, dataset: Dataset | StructuredDataset, device: Any = None) -> None:
        """Copies a data set to a device, or to JAX' default device.

        Raises:
          InputError: if an input holds no numbers, or integers that JAX cannot hold.
        """
        self._white = 1.0
        self._packing = None
        if isinstance(dataset, StructuredDataset):
            inputs: Any = {name: _kept(v, name) for name, v in numbers_of(dataset).items()}
        else:
            images = np.concatenate([dataset.train_images, dataset.test_images])
            if images.dtype == np.uint8 and 4 * images.size > SCALED_AT_ONCE:
                self._white = float(dataset.white)
            elif dataset.white != 1 or images.dtype.kind == "f":
                images = images.astype(np.float32) / np.float32(dataset.white)
            self._packing = packing_of(dataset)
            inputs = _kept(with_padding(images, dataset), "images")
        labels = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.all_targets = labels
        if dataset.train_targets is not None and dataset.test_targets is not None:
            self.all_targets = np.concatenate([dataset.train_targets, dataset.test_targets])
        self.num_train = len(dataset.train_labels)
        self.count = len(labels)
        arrays = {
            "inputs": inputs,
            "labels": labels.astype(np.int32),
            "targets": _kept(with_padding(self.all_targets, dataset), "targets"),
        }
        self.arrays: Arrays = jax.device_put(arrays, device)

    def feed(self, indices: np.ndarray) -> np.ndarray:
        """See `Examples.feed`."""
        if self._packing is not None:
            return self._packing.places(indices)
        return np.ascontiguousarray(indices, np.int32)

    def inputs(self, arrays: Arrays, indices: Any, moves: Any = None, pad: int = 0) -> Any:
        """See `Examples.inputs`."""
        taken = jax.tree.map(lambda values: _take(values, indices), arrays["inputs"])
        if moves is not None:
            taken = move(taken, moves, pad)
        if isinstance(taken, dict):
            return arranged(taken)
        return taken.astype(jnp.float32) / self._white if self._white != 1 else taken

    def labels(self, arrays: Arrays, indices: Any) -> jax.Array:
        """See `Examples.labels`."""
        return _take(arrays["labels"], indices)

    def targets(self, arrays: Arrays, indices: Any) -> jax.Array:
        """See `Examples.targets`."""
        return _take(arrays["targets"], indices)


def _take(values: jax.Array, indices: Any) -> jax.Array:
    values = values.reshape(-1) if indices.ndim > 1 else values
    return values.at[indices].get(mode="promise_in_bounds")


def _kept(values: np.ndarray, name: str) -> np.ndarray:
    """Values in the types of JAX, which computes in 32 bits.

    Raises:
      InputError: if they are integers beyond 32 bits.
    """
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    if values.dtype.kind in "iu" and values.size and values.dtype.itemsize >= 4:
        bounds = np.iinfo(np.int32)
        least, most = values.min(), values.max()
        if least < bounds.min or most > bounds.max:
            raise InputError(
                f"{name or 'inputs'}: expected integers of 32 bits on JAX, received {least} to "
                f"{most}"
            )
        return values.astype(np.int32)
    return values
