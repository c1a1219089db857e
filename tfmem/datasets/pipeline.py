"""Batches of decoded images from a streamed data set, in any order."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import numpy as np
import tensorflow as tf

from tfmem.datasets.decoding import DECODED, decode_window
from tfmem.datasets.pixels import Trait
from tfmem.datasets.squares import part
from tfmem.datasets.streamed import StreamedDataset
from tfmem.datasets.windows import RATIOS, widened, windows_in_blocks
from tfmem.messages.errors import InputError
from tfmem.store.predictions import Split

Told = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # arguments of `decode_window`

_CHUNK = 32  # images that a thread reads and hands over at once
_READERS = max(8, os.cpu_count() or 1)  # threads that each read one chunk at a time
_AHEAD = 8 * (os.cpu_count() or 1)  # images that are decoded, or wait for an earlier one


def batches(
    dataset: StreamedDataset,
    split: Split,
    indices: np.ndarray,
    batch_size: int,
    boxes: np.ndarray | None = None,
) -> tf.data.Dataset:
    """The images of some examples, in the order of `indices`.

    An example's pixels depend only on its encoded image and its box: they are the same in every run
    and for any batch size. Iterating may raise errors of TensorFlow; `read_batches` does not.

    Args:
      dataset: the data set that is read.
      split: the split to which the indices refer.
      indices: int64 `[count]`.
      batch_size: number of examples in a batch; the last batch may have fewer.
      boxes: float32 `[count, 4]`, uniform in [0, 1): a random part of each image (see
        `tfmem.datasets.windows.box_windows`) in place of its centre.

    Returns:
      uint8 `[batch_size, image_size, image_size, 3]`.
    """
    size = dataset.image_size
    signature = (
        tf.TensorSpec([None], tf.string),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, 4], tf.int32),
        tf.TensorSpec([None, 4], tf.int32),
    )
    return (
        tf.data.Dataset.from_generator(
            lambda: _chunks(dataset, split, indices, boxes), output_signature=signature
        )
        .unbatch()
        .map(partial(decode_window, image_size=size), num_parallel_calls=_AHEAD, deterministic=True)
        .batch(batch_size)
        .apply(tf.data.experimental.assert_cardinality(-(-len(indices) // batch_size)))
        .prefetch(tf.data.AUTOTUNE)
    )


def read_batches(
    dataset: StreamedDataset,
    split: Split,
    indices: np.ndarray,
    batch_size: int,
    boxes: np.ndarray | None = None,
) -> Iterator[tf.Tensor]:
    """Yields the batches of `batches`, and raises no errors of TensorFlow.

    Raises:
      InputError: if an image cannot be read or decoded; the error names split, index and file.
    """
    done = 0
    try:
        for batch in batches(dataset, split, indices, batch_size, boxes):
            yield batch
            done += len(batch)
    except tf.errors.OpError:
        find_failure(dataset, split, indices[done : done + batch_size + _CHUNK])
        raise


def find_failure(dataset: StreamedDataset, split: Split, indices: np.ndarray) -> None:
    """Reads and decodes examples one by one, to find the one that caused an error.

    Raises:
      InputError: naming split, index and file of the first image that cannot be read or decoded.
    """
    images = dataset.images(split)
    for index in indices.tolist():
        (contents,), (which,), (whole,), (window,) = _read(dataset, split, np.array([index]), None)
        try:
            decode_window(
                tf.constant(contents), tf.constant(which), whole, window, dataset.image_size
            )
        except tf.errors.OpError:
            raise InputError(
                f"{dataset.name}: {split} example {index}: {images.where(index)}: an image that "
                "cannot be decoded"
            ) from None


def _read(
    dataset: StreamedDataset, split: Split, indices: np.ndarray, boxes: np.ndarray | None
) -> Told:
    """Reads some images, and returns the arguments of `decode_window`, `[len(indices)]` each."""
    images = dataset.images(split)
    sizes = images.sizes[indices]
    which, windows = windows_in_blocks(sizes, dataset.image_size, dataset.resize, boxes)
    ratios = RATIOS[which]
    parts, inner = widened(windows, -(-sizes // ratios[:, None]))
    contents = np.empty(len(indices), object)
    for row, index in enumerate(indices.tolist()):
        if images.traits[index] & Trait.PLAIN:
            contents[row] = images.read(index)
        else:
            contents[row] = part(images, index, int(ratios[row]), windows[row]).tobytes()
            which[row], parts[row], inner[row, :2] = DECODED, windows[row], 0
    return contents, which, parts, inner


def _chunks(
    dataset: StreamedDataset, split: Split, indices: np.ndarray, boxes: np.ndarray | None
) -> Iterator[Told]:
    """Yields the results of `_read` for chunks of `indices`, which threads read in advance."""
    pending: deque[Future[Told]] = deque()
    with ThreadPoolExecutor(_READERS) as pool:
        for start in range(0, len(indices), _CHUNK):
            rows = slice(start, start + _CHUNK)
            part = None if boxes is None else boxes[rows]
            pending.append(pool.submit(_read, dataset, split, indices[rows], part))
            if len(pending) == _READERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
