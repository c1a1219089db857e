"""Makes the trainers that train models in stacks, one for each lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset, StructuredDataset
from tfmem.messages.terminal import say
from tfmem.subsets import Subsets
from tfmem.subsets.stacks import largest_stack_of_one_size
from tfmem.tasks import Task
from tfmem.training.choosing import choose_devices, choose_stack_size, largest_stack
from tfmem.training.fitting import FittingTrainer
from tfmem.training.initialization import Initializer
from tfmem.training.platforms import StackTrainer, platform


def stacked_trainers(
    build: Callable[[], keras.Model],
    model: keras.Model,
    examples: Dataset | StructuredDataset,
    settings: TrainingSettings,
    task: Task,
    subsets: Subsets | None,
    initializer: Initializer | None = None,
) -> Sequence[FittingTrainer]:
    """Makes one trainer for each lane.

    The stack size is that of the settings, or, if they have none, the faster one of a short
    measurement.

    Args:
      build: makes a compiled model.
      model: the first one that it made, which a trainer will use.
      examples: the examples.
      settings: stack size, lanes, epochs, batch size.
      task: how examples are scored.
      subsets: the subsets of the trials; None if all have the same size.
      initializer: draws the variables of a trial; None runs the layers' own initializers.
    """
    devices = choose_devices(model, settings)
    make = platform().maker(build, model, examples, settings, task, initializer)
    measured: dict[int, list[StackTrainer]] = {}  # whose programs are compiled already

    def make_all(size: int) -> Sequence[StackTrainer]:
        for tried in [tried for tried in measured if tried > 1]:
            del measured[tried]  # frees its memory
        measured[size] = [make(device, size) for device in devices]
        return measured[size]

    # Trials of a stack have subsets of the same size.
    fitting = partial(largest_stack_of_one_size, subsets) if subsets else int
    size = settings.stack_size or choose_stack_size(
        make_all, fitting(largest_stack(model, settings, len(devices))), settings, fitting
    )
    lanes = devices[: -(-settings.trials // size)]
    wholes = measured.get(size) or [make(device, size) for device in lanes]
    return [
        FittingTrainer(partial(make, device), whole, settings, say)
        for device, whole in zip(lanes, wholes, strict=False)
    ]
