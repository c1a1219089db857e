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
from tfmem.training.platforms import platform


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
    # Trials of a stack have subsets of the same size.
    fitting = partial(largest_stack_of_one_size, subsets) if subsets else int
    size = settings.stack_size or choose_stack_size(
        lambda size: [make(device, size) for device in devices],
        fitting(largest_stack(model, settings, len(devices))),
        settings,
        fitting,
    )
    lanes = devices[: -(-settings.trials // size)]
    return [FittingTrainer(partial(make, device), size, settings, say) for device in lanes]
