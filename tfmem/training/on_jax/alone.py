"""Trains one model at a time on JAX, and keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import keras
import numpy as np

from tfmem.datasets import StreamedDataset
from tfmem.datasets.reading import read_batches
from tfmem.store.predictions import Split
from tfmem.subsets import Trial
from tfmem.training.epochs import EVALUATION_BATCH
from tfmem.training.inputs import Inputs, inputs_of, take
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.platforms import InMemory, StackTrainer


class OneByOne:
    """Trains a model as a stack of one (see `tfmem.training.platforms.OneByOne`)."""

    stack_size = 1

    def __init__(
        self, model: keras.Model, trainer: StackTrainer, examples: InMemory | StreamedDataset
    ) -> None:
        """Takes the model, and the trainer of its stack."""
        self.model = model
        self._trainer = trainer
        self._examples = examples

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """Trains one trial; see `Trainer.train`."""
        outcomes = self._trainer.train(trials, subsets, watch)
        variables = *self.model.trainable_variables, *self.model.non_trainable_variables
        for variable, cell in zip(variables, self._trainer.variables, strict=False):
            variable.assign(cell.numpy()[0])
        return outcomes

    def rates(self, steps: int) -> np.ndarray:
        """See `OneByOne.rates`."""
        return self._trainer.rates(steps)

    def activations(self, layer: str, test: bool) -> Iterator[np.ndarray]:
        """See `OneByOne.activations`."""
        cut = keras.Model(self.model.inputs, self.model.get_layer(layer).output)
        for part in self._batches(test):
            yield np.asarray(cut.predict(part, EVALUATION_BATCH, verbose=0), np.float32)

    def _batches(self, test: bool) -> Iterator[Inputs]:
        """Yields the inputs of a split in index order, as models see them."""
        examples = self._examples
        count = len(examples.test_labels if test else examples.train_labels)
        if isinstance(examples, StreamedDataset):
            split: Split = "test" if test else "train"
            for images in read_batches(examples, split, np.arange(count), EVALUATION_BATCH):
                yield images.astype(np.float32) / examples.white
            return
        inputs = inputs_of(examples, test)
        for start in range(0, count, EVALUATION_BATCH):
            yield take(inputs, slice(start, start + EVALUATION_BATCH))
