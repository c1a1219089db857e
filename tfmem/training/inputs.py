"""The inputs and targets of examples as a user's own model takes them, whatever they lie in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from tfmem.datasets import AnyDataset, Dataset, StructuredDataset, TextDataset
from tfmem.datasets.structured import arranged
from tfmem.messages.errors import InputError

SCALED_AT_ONCE = 256 << 20  # bytes; larger data sets are scaled batch by batch

Inputs: TypeAlias = np.ndarray | Mapping[str, np.ndarray] | Sequence[np.ndarray]


def inputs_of(dataset: AnyDataset, test: bool) -> Inputs:
    """The inputs of a split: `[examples, ...]`, or such arrays by name or in a list.

    Images are divided by their value of full intensity, as for tfmem's own models. Texts are
    strings `[examples]`, or `[examples, sentences]` of several sentences, and have no name unless
    the user gave one.

    Args:
      dataset: the examples.
      test: whether those of the test split are meant.

    Raises:
      InputError: if the examples are not in memory.
    """
    match dataset:
        case StructuredDataset():
            inputs = dataset.test_inputs if test else dataset.train_inputs
            found: Inputs = arranged({name: _as_objects(v) for name, v in inputs.items()})
            return found
        case Dataset():
            values = dataset.test_images if test else dataset.train_images
            return values if dataset.white == 1 else values.astype(np.float32) / dataset.white
        case TextDataset():
            texts = _as_objects(dataset.test_texts if test else dataset.train_texts)
            return texts[:, 0] if texts.shape[1] == 1 else texts
    raise InputError("dataset.image_size: expected a data set in memory, received streamed images")


def _as_objects(values: np.ndarray) -> np.ndarray:
    """Strings as Python's objects, which tables and TensorFlow take; other arrays as they are."""
    return values.astype(object) if values.dtype.kind in "UT" else values


def targets_of(dataset: AnyDataset, test: bool) -> np.ndarray:
    """What models are trained to predict, `[examples, ...]`; labels unless the data say else."""
    name = "test" if test else "train"
    targets: np.ndarray | None = getattr(dataset, f"{name}_targets", None)
    return getattr(dataset, f"{name}_labels") if targets is None else targets


def take(inputs: Inputs, chosen: np.ndarray | slice) -> Inputs:
    """The inputs of some examples."""
    if isinstance(inputs, np.ndarray):
        return inputs[chosen]
    if not isinstance(inputs, Mapping):
        return [values[chosen] for values in inputs]
    return {name: values[chosen] for name, values in inputs.items()}


def check_numbers(dataset: StructuredDataset) -> None:
    """Checks that all inputs can be put into tensors of numbers.

    Raises:
      InputError: if an input holds no numbers.
    """
    for name, values in dataset.train_inputs.items():
        if values.dtype.kind not in "fiub":
            raise InputError(
                f"input{f' {name!r}' if name else 's'}: expected numbers with trainer: stacked or "
                f"mirrored, received {values.dtype}"
            )


def numbers_of(dataset: StructuredDataset) -> Mapping[str, np.ndarray]:
    """The inputs of training and test examples together.

    Raises:
      InputError: if an input holds no numbers.
    """
    check_numbers(dataset)
    return {
        name: np.concatenate([values, dataset.test_inputs[name]])
        for name, values in dataset.train_inputs.items()
    }
