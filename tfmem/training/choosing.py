"""How many models to train together on each device, from memory and a short measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import psutil
import tensorflow as tf

from tfmem.config import TrainingSettings
from tfmem.subsets import Trial
from tfmem.training.stacked import StackedTrainer

_WORKING_SET = 96 << 20  # bytes; larger stacks gain nothing on CPUs, whose caches they overflow
_LARGEST_STACK = 128
_MOST_LANES = 8  # of a machine without GPU; every lane traces its own programs

# A step of one model that takes longer than this is computation, not the cost of starting it, and
# nothing is gained by a stack: seconds.
_LONG_STEP = 0.05


def bytes_per_model(model: keras.Model, settings: TrainingSettings) -> int:
    """Memory that a model takes while it is trained: an estimate.

    Variables count four times (value, velocity, gradient, update), the activations of one batch
    three times.
    """
    variables = sum(int(np.prod(v.shape)) for v in model.variables)
    activations = sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)
    return 4 * (4 * variables + 3 * settings.batch_size * activations)


def choose_devices(model: keras.Model, settings: TrainingSettings) -> list[str]:
    """The device of each lane.

    Every GPU is a lane. Without one, the lanes share the CPU: one for each core, up to eight, as
    far as half of the free memory goes; what one leaves idle between operations, another uses.
    """
    gpus = [device.name for device in tf.config.list_logical_devices("GPU")]
    if gpus:
        lanes = settings.lanes or len(gpus)
        return [gpus[lane % len(gpus)] for lane in range(lanes)]
    fitting = psutil.virtual_memory().available // 2 // bytes_per_model(model, settings)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return ["CPU:0"] * (settings.lanes or max(1, min(cores or 1, fitting, _MOST_LANES)))


def largest_stack(model: keras.Model, settings: TrainingSettings, lanes: int) -> int:
    """As many models as fit into a working set of 96 MB (GPU: half of its memory), 1 to 128.

    The set is a quarter of the free memory where that is less. All stacks are made of equal size,
    so that the last one wastes little.
    """
    gpus = tf.config.list_physical_devices("GPU")
    budget = min(_WORKING_SET, psutil.virtual_memory().available // 4)
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        budget = details.get("memory_size", 8 << 30) // 2  # a stack that does not fit is halved
    largest = max(1, min(_LARGEST_STACK, budget // bytes_per_model(model, settings)))
    largest = max(1, min(largest, settings.trials // lanes))
    stacks = -(-settings.trials // largest)
    return -(-settings.trials // stacks)


def choose_stack_size(
    make: Callable[[int], Sequence[StackedTrainer]], largest: int, settings: TrainingSettings
) -> int:
    """1, or the largest stack that fits, whichever trains more models in a second.

    Args:
      make: makes the trainers of all lanes for a stack size.
      largest: the stack to compare with one model at a time.
      settings: batch size.
    """
    if largest == 1:
        return 1
    alone = _seconds_per_model_step(make(1), settings)
    if alone > _LONG_STEP:
        return 1
    return largest if _seconds_per_model_step(make(largest), settings) < alone else 1


def _seconds_per_model_step(
    trainers: Sequence[StackedTrainer], settings: TrainingSettings
) -> float:
    """Time of a training step divided by the models that make it, all lanes at work."""
    steps = 4
    size = trainers[0].stack_size

    def run(trainer: StackedTrainer) -> None:
        orders = np.tile(np.arange(steps * settings.batch_size) % 2, (size, 1))
        trainer.run_epoch(orders, orders.astype(np.uint64), np.zeros(steps, np.float32))

    for trainer in trainers:
        trainer.assign([trainer.initializer(Trial(0, 0))] * size)
        run(trainer)  # traces
    best = np.inf
    with ThreadPoolExecutor(len(trainers)) as lanes:
        for _ in range(3):
            start = time.perf_counter()
            list(lanes.map(run, trainers))
            best = min(best, time.perf_counter() - start)
    return best / steps / size / len(trainers)


class FittingTrainer:
    """Trains a stack in as many parts as the memory of its device needs (see `Trainer`)."""

    def __init__(
        self, make: Callable[[int], StackedTrainer], stack_size: int, say: Callable[[str], None]
    ) -> None:
        """Makes a trainer for the whole stack.

        Args:
          make: makes a trainer for a stack size.
          stack_size: models in a stack.
          say: told when a stack is halved.
        """
        self.stack_size = stack_size
        self._make = make
        self._say = say
        self._trainer = make(stack_size)

    def train(self, trials, subsets, watch):  # type: ignore[no-untyped-def]
        """See `Trainer.train`."""
        while True:
            size = self._trainer.stack_size
            try:
                return self._in_parts(trials, subsets, watch)
            except tf.errors.ResourceExhaustedError:
                if size == 1:
                    raise
            smaller = -(-size // 2)
            self._say(f"a stack of {size} models does not fit in memory: {smaller} at a time now")
            self._trainer = None  # type: ignore[assignment]
            self._trainer = self._make(smaller)

    def _in_parts(self, trials, subsets, watch):  # type: ignore[no-untyped-def]
        size = self._trainer.stack_size
        outcomes = []
        for start in range(0, len(trials), size):
            part = list(range(start, min(start + size, len(trials))))
            padded = part + part[-1:] * (size - len(part))  # the program has room for `size`
            chosen = [trials[i] for i in padded], [subsets[i] for i in padded]
            outcomes += self._trainer.train(*chosen, watch)[: len(part)]
        return outcomes
