"""Halves a stack of models that turns out not to fit in the memory of its device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfmem.config import TrainingSettings
from tfmem.subsets import Trial
from tfmem.training.epochs import out_of_memory
from tfmem.training.outcome import TrialOutcome, WatcherOf
from tfmem.training.platforms import StackTrainer, platform


class FittingTrainer:
    """Trains a stack in as many parts as memory requires (see `Trainer`).

    Attributes:
      stack_size: number of models in a stack.
      part: the trainer of a part of a stack; at first a part is the whole stack, and it is halved
        when it does not fit.
    """

    def __init__(
        self,
        make: Callable[[int], StackTrainer],
        whole: StackTrainer,
        settings: TrainingSettings,
        say: Callable[[str], None],
    ) -> None:
        """Takes a trainer of whole stacks.

        Args:
          make: makes a trainer for a stack size.
          whole: trains whole stacks, as long as these fit.
          settings: settings that messages name.
          say: called with a message when a stack is halved.
        """
        self.stack_size = whole.stack_size
        self.part = whole
        self._make = make
        self._settings = settings
        self._say = say

    def train(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        """See `Trainer.train`.

        Raises:
          InputError: if a single model does not fit.
        """
        while True:
            size = self.part.stack_size
            try:
                return self._train_parts(trials, subsets, watch)
            except Exception as error:
                if not platform().is_out_of_memory(error):
                    raise
                if size == 1:
                    raise out_of_memory(self._settings) from None
            smaller = -(-size // 2)
            self._say(f"a stack of {size} models does not fit in memory: {smaller} at a time now")
            del self.part  # frees its memory before the next trainer is made
            self.part = self._make(smaller)

    def _train_parts(
        self, trials: Sequence[Trial], subsets: Sequence[np.ndarray], watch: WatcherOf
    ) -> list[TrialOutcome]:
        size = self.part.stack_size
        outcomes: list[TrialOutcome] = []
        for start in range(0, len(trials), size):
            rows = list(range(start, min(start + size, len(trials))))
            padded = rows + rows[-1:] * (size - len(rows))  # the program has room for `size`
            chosen = [trials[row] for row in padded], [subsets[row] for row in padded]
            outcomes += self.part.train(*chosen, watch)[: len(rows)]
        return outcomes
