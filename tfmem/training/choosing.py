"""Chooses how many models each device trains together, by memory and a short measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import keras
import numpy as np
import psutil

from tfmem.config import Config, DenseSettings, PythonSettings, TrainingSettings
from tfmem.datasets import AnyDataset, Dataset, StructuredDataset
from tfmem.subsets import Trial
from tfmem.training.epochs import out_of_memory
from tfmem.training.platforms import StackTrainer, platform

_WORKING_SET = 96 << 20  # bytes; larger stacks overflow the caches of CPUs and gain nothing
_LARGEST_STACK = 128
_ACTIVATIONS_OF_A_UNIT = 3  # at most: of a dense layer, flattened, before and after its ReLU
_OF_A_TABLE = 1 << 30  # bytes; hardly a user's model of rows of numbers takes more
_MOST_LANES = 8  # lanes of a machine without GPU; every lane traces its own programs

# Seconds. A longer step of one model spends its time on computation rather than on starting
# operations, so that a stack gains nothing.
_LONG_STEP = 0.05


def bytes_per_model(model: keras.Model, settings: TrainingSettings) -> int:
    """Estimates the memory that a model takes while it is trained, in bytes.

    Variables count four times (value, velocity, gradient, update), the activations of one batch
    three times. Layers that a subclass calls do not say what they return; each counts as a vector.
    """
    variables = sum(int(np.prod(v.shape)) for v in model.variables)
    activations = sum(_activations(layer) for layer in model.layers)
    return _bytes(variables, activations, settings.batch_size)


def _bytes(variables: int, activations: int, batch: int) -> int:
    return 4 * (4 * variables + 3 * batch * activations)


def _activations(layer: keras.Layer) -> int:
    """The numbers that a layer returns for one example; open axes count as one."""
    try:
        outputs = keras.tree.flatten(layer.output)
    except (AttributeError, ValueError):  # the layer is called by a subclass, or several times
        return sum(v.shape[-1] for v in layer.variables if len(v.shape) == 1)
    return sum(int(np.prod([n or 1 for n in each.shape[1:]])) for each in outputs)


def cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_devices(model: keras.Model, settings: TrainingSettings) -> list[str]:
    """The device of each lane.

    Every GPU is a lane. Without a GPU, lanes share the CPU: one for each core, up to eight, as far
    as half of the free memory allows. One lane uses the cores that another leaves idle between
    operations.
    """
    if gpus := platform().gpus():
        lanes = settings.lanes or len(gpus)
        return [gpus[lane % len(gpus)] for lane in range(lanes)]
    fitting = psutil.virtual_memory().available // 2 // bytes_per_model(model, settings)
    return ["CPU:0"] * (settings.lanes or max(1, min(cores(), fitting, _MOST_LANES)))


def lanes_known_at_once(config: Config, dataset: AnyDataset) -> int | None:
    """The number of lanes on a machine without GPU, if it is known before a model is built.

    It is that of the settings; or it is the number of cores, up to eight, if memory is enough for a
    dense network, whose sizes are known, or for a user's model of tables.
    """
    settings = config.training
    if settings.lanes:
        return settings.lanes
    each = _bytes_known_at_once(config, dataset)
    lanes = min(cores(), _MOST_LANES)
    enough = each is not None and lanes * each <= psutil.virtual_memory().available // 2
    return lanes if enough else None


def _bytes_known_at_once(config: Config, dataset: AnyDataset) -> int | None:
    """The memory that a model takes, or more, in bytes; None if it is not known."""
    model = config.model
    if isinstance(model, PythonSettings):
        return _OF_A_TABLE if _is_table(dataset) else None
    if not isinstance(model, DenseSettings) or not isinstance(dataset, Dataset):
        return None
    inputs, classes = int(np.prod(dataset.input_shape)), len(dataset.class_names)
    units = [inputs, *model.hidden, classes]
    variables = sum((before + 1) * after for before, after in pairwise(units))
    return _bytes(variables, _ACTIVATIONS_OF_A_UNIT * sum(units), config.training.batch_size)


def _is_table(dataset: AnyDataset) -> bool:
    """Whether examples are rows of numbers; rows of integers may be texts."""
    if isinstance(dataset, StructuredDataset):
        inputs = list(dataset.train_inputs.values())
    else:
        inputs = [dataset.train_images] if isinstance(dataset, Dataset) else []
    rows = [
        values.ndim == 1 or (values.ndim == 2 and values.dtype.kind == "f") for values in inputs
    ]
    return bool(rows) and all(rows)


def largest_stack(model: keras.Model, settings: TrainingSettings, lanes: int) -> int:
    """The number of models, 1 to 128, that fit into a working set of 96 MB.

    The working set is a quarter of the free memory if that is less, and on a GPU what the platform
    allows; a stack that does not fit after all is halved. All stacks get the same size, so that the
    last one wastes little.
    """
    on = platform()
    budget = min(_WORKING_SET, psutil.virtual_memory().available // 4)
    most = on.largest_on_cpu
    if gpus := on.gpus():
        most = _LARGEST_STACK
        budget = on.gpu_budget() // -(-lanes // len(gpus))
    largest = max(1, min(most, budget // bytes_per_model(model, settings)))
    largest = max(1, min(largest, settings.trials // lanes))
    stacks = -(-settings.trials // largest)
    return -(-settings.trials // stacks)


def choose_stack_size(
    make: Callable[[int], Sequence[StackTrainer]],
    largest: int,
    settings: TrainingSettings,
    fitting: Callable[[int], int] = int,
) -> int:
    """The stack size that trains more models in a second: 1, or the largest that fits.

    Args:
      make: makes the trainers of all lanes for a stack size.
      largest: the stack size that is compared with one model at a time.
      settings: the batch size.
      fitting: returns the largest possible stack size up to a number; by default the number itself.
    """
    if largest == 1:
        return 1
    is_out_of_memory = platform().is_out_of_memory
    try:
        alone = _seconds_per_model_step(make(1), settings)
    except Exception as error:
        if is_out_of_memory(error):
            raise out_of_memory(settings) from None
        raise
    while alone < _LONG_STEP and largest > 1:
        try:
            together = _seconds_per_model_step(make(largest), settings)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            largest = fitting(-(-largest // 2))
            continue
        return largest if together < alone else 1
    return 1


def _seconds_per_model_step(trainers: Sequence[StackTrainer], settings: TrainingSettings) -> float:
    """Seconds of a training step in all lanes at once, divided by the number of models."""
    steps = 4
    size = trainers[0].stack_size

    def run(trainer: StackTrainer) -> None:
        orders = np.tile(np.arange(steps * settings.batch_size) % 2, (size, 1))
        trainer.run_epoch(orders, orders.astype(np.uint64), np.zeros(steps, np.float32))

    for trainer in trainers:
        first = trainer.initializer(Trial(0, 0))
        trainer.assign([np.broadcast_to(value, (size, *value.shape)) for value in first])
        run(trainer)  # traces
    best = np.inf
    with ThreadPoolExecutor(len(trainers)) as lanes:
        for _ in range(3):
            start = time.perf_counter()
            list(lanes.map(run, trainers))
            best = min(best, time.perf_counter() - start)
    return best / steps / size / len(trainers)
