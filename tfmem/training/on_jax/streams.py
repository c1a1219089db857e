"""Trains one model at a time on JAX, on images that are read while it trains."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from tfmem.datasets import StreamedDataset
from tfmem.datasets.reading import read_batches
from tfmem.store.predictions import Split
from tfmem.training.augmentation import draw_boxes, draw_moves
from tfmem.training.epochs import EVALUATION_BATCH, Batches, mean_losses
from tfmem.training.on_jax.moving import move
from tfmem.training.on_jax.resident import Arrays
from tfmem.training.on_jax.stacked import StackedTrainer

_WAITING = 2  # steps that may wait for the device, each with its batch in the device's memory


class StreamedExamples:
    """A data set whose programs receive one batch at a time (see `Examples`).

    Attributes:
      arrays: nothing, because `batches` and `in_order` yield what programs receive.
    """

    def __init__(self, dataset: StreamedDataset, device: Any = None) -> None:
        """Takes the data set, and the device that receives its batches."""
        self._dataset = dataset
        self._device = device
        self.arrays: Arrays = {}
        self.num_train = len(dataset.train_labels)
        self.all_targets = np.concatenate([dataset.train_labels, dataset.test_labels])
        self.count = len(self.all_targets)

    def batches(
        self, order: np.ndarray, batch_size: int, boxes: np.ndarray | None
    ) -> Iterator[Arrays]:
        """Yields batches of training examples, in `order`, on the device."""
        return self._read("train", order, batch_size, boxes)

    def in_order(self, batch_size: int) -> Iterator[Arrays]:
        """Yields batches of all examples in index order, the training examples first."""
        for split in ("train", "test"):
            order = np.arange(len(self._dataset.labels(split)))
            yield from self._read(split, order, batch_size, None)

    def _read(
        self, split: Split, order: np.ndarray, batch_size: int, boxes: np.ndarray | None
    ) -> Iterator[Arrays]:
        labels, start = self._dataset.labels(split), 0
        for images in read_batches(self._dataset, split, order, batch_size, boxes):
            chosen = labels[order[start : start + len(images)]].astype(np.int32)
            start += len(images)
            yield jax.device_put({"inputs": images, "labels": chosen}, self._device)

    def feed(self, indices: np.ndarray) -> np.ndarray:
        """Places in a batch as programs receive them, int32."""
        return indices.astype(np.int32)

    def inputs(self, arrays: Arrays, indices: Any, moves: Any = None, pad: int = 0) -> jax.Array:
        """Images of a batch as models see them, `[len(indices), ...]` (see `Examples`)."""
        images = arrays["inputs"][indices]
        if moves is not None:
            images = move(images, moves, pad)
        return images.astype(jnp.float32) / self._dataset.white

    def labels(self, arrays: Arrays, indices: Any) -> jax.Array:
        """Labels of examples of a batch, int32 `[len(indices)]`."""
        return arrays["labels"][indices]

    def targets(self, arrays: Arrays, indices: Any) -> jax.Array:
        """The labels, which are what models are trained to predict."""
        return self.labels(arrays, indices)


class StreamedTrainer(StackedTrainer):
    """Trains a stack of one model by a program for each step (see `StackedTrainer`)."""

    _examples: StreamedExamples

    def epochs_at_once(self, size: int) -> int:
        """See `QuickMachine.epochs_at_once`; images are read for one epoch at a time."""
        del size
        return 1

    def run_epoch(
        self, orders: np.ndarray, draws: np.ndarray | None, rates: np.ndarray
    ) -> np.ndarray:
        """Makes one pass over the subset; the last batch may be smaller (see `Machine`)."""
        (order,), settings = orders, self._settings
        draw = None if draws is None else draws[0]
        moves = draw_moves(draw, settings.augmentation)
        boxes = draw_boxes(draw, settings.augmentation)
        done: list[tuple[int, jax.Array]] = []
        batches = self._examples.batches(order, settings.batch_size, boxes)
        for start, arrays, rate in zip(
            range(0, len(order), settings.batch_size), batches, rates, strict=True
        ):
            count = len(arrays["labels"])
            chosen = None if moves is None else moves[None, None, start : start + count]
            step = Batches(np.arange(count)[None, None], chosen, rate[None])
            values, losses = self._programs.epoch(self._values(), arrays, [self._by_step(step)])
            self._keep(values)
            done.append((count, losses))
            if len(done) > _WAITING:
                done[-1 - _WAITING][1].block_until_ready()
        return mean_losses([(count, *np.asarray(losses)[0]) for count, losses in done])

    def _in_parts(self, program: Callable[..., Any], count: int) -> list[Any]:
        """What a program returns for the first `count` examples (see `StackedTrainer`)."""
        values, parts, start = self._values(), [], 0
        for arrays in self._examples.in_order(EVALUATION_BATCH):
            if start >= count:
                break
            found = program(values, arrays, np.arange(len(arrays["labels"]), dtype=np.int32))
            left = count - start
            parts.append(jax.tree.map(lambda part, end=left: np.asarray(part)[:, :end], found))
            start += len(arrays["labels"])
        return parts
