"""Makes the trainers that a configuration names, one for each lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import keras
import tensorflow as tf

from tfmem.config import Config, PythonSettings
from tfmem.datasets import AnyDataset, ImageDataset, StreamedDataset
from tfmem.encoders import as_arrays
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.models import build
from tfmem.models.normalization import fuse_batch_normalization
from tfmem.models.outputs import output_kind
from tfmem.subsets import Subsets
from tfmem.subsets.stacks import largest_stack_of_one_size
from tfmem.tasks import Task
from tfmem.training.choosing import (
    choose_devices,
    choose_stack_size,
    largest_stack,
    share_cores,
)
from tfmem.training.fitting import FittingTrainer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.outcome import Trainer
from tfmem.training.own import own_trainers
from tfmem.training.resident import ResidentExamples
from tfmem.training.scoring import task_for
from tfmem.training.stacked import StackedTrainer


def make_trainers(
    config: Config, dataset: AnyDataset, subsets: Subsets | None = None
) -> Sequence[Trainer]:
    """One trainer over all devices (`mirrored`), or one for each lane (`stacked`).

    The stack size is that of the settings, or, if they have none, the faster one of a short
    measurement.

    Args:
      config: model and recipe.
      dataset: the examples.
      subsets: the subsets of the trials; None if all have the same size.
    """
    settings = config.training
    if isinstance(config.model, PythonSettings):
        return own_trainers(config, config.model, dataset)
    if settings.trainer == "stacked":
        share_cores(settings)
    examples = as_arrays(config, dataset)
    build_model = model_builder(config, examples)
    if settings.trainer == "mirrored":
        return [MirroredTrainer(build_model, examples, settings)]
    if isinstance(examples, StreamedDataset):
        raise InputError(
            "training.trainer: expected 'mirrored' with dataset.image_size, which is read while "
            "training; received 'stacked'"
        )
    model = build_model()
    task = task_of(config, examples, model)
    unused = [model]  # used once, because building a deep model takes seconds
    devices = choose_devices(model, settings)
    resident = {}
    for device in set(devices):
        with tf.device(device):
            resident[device] = ResidentExamples(examples, fixed_shape=settings.xla)

    def make(device: str, size: int) -> StackedTrainer:
        built = unused.pop() if unused else build_model()
        return StackedTrainer(built, resident[device], settings, size, device, task)

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


def model_builder(config: Config, dataset: ImageDataset) -> Callable[[], keras.Model]:
    """Builds the configuration's model for a data set of arrays."""

    def build_model() -> keras.Model:
        classes, precision = len(dataset.class_names), config.training.precision
        return fuse_batch_normalization(
            build(config.model, dataset.input_shape, classes, precision)
        )

    return build_model


def task_of(config: Config, dataset: ImageDataset, model: keras.Model) -> Task:
    """The task of a model that is trained on a data set.

    Raises:
      InputError: if the data set, the model's outputs and the settings do not go together.
    """
    shape = getattr(model, "output_shape", None)
    shape = tuple(shape[1:]) if isinstance(shape, tuple) else ()
    return task_for(config.task, dataset, shape, output_kind(model))
