"""Makes the trainers that a configuration names, one for each lane."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras
import numpy as np

from tfmem.config import Config, DecoderSettings, PythonSettings
from tfmem.datasets import AnyDataset, Dataset, ImageDataset, StreamedDataset, TextDataset
from tfmem.encoders import as_arrays
from tfmem.messages.errors import InputError
from tfmem.models import build
from tfmem.models.normalization import fuse_batch_normalization
from tfmem.models.outputs import output_kind
from tfmem.models.whitening import adapt, is_adaptable
from tfmem.subsets import Subsets
from tfmem.subsets.drawing import subset_size
from tfmem.training.builder import Builder
from tfmem.training.choosing import lanes_known_at_once
from tfmem.training.elsewhere import check_backend
from tfmem.training.fit import FitTrainer
from tfmem.training.keras_models import one_by_one_trainer
from tfmem.training.outcome import Trainer
from tfmem.training.own import own_trainers, users_builder
from tfmem.training.platforms import OneByOne, check_mirrored, platform
from tfmem.training.recipe import compiled
from tfmem.training.scoring import task_for
from tfmem.training.stacks import stacked_trainers


def make_trainers(
    config: Config, dataset: AnyDataset, subsets: Subsets | None = None
) -> Sequence[Trainer]:
    """One trainer over all devices (`mirrored`, `fit`), or one for each lane (`stacked`).

    tfmem's own models give the same results stacked and by `fit`, so `auto` stacks them, unless
    their examples are read while they are trained; see `Platform.streaming` for these.

    Args:
      config: model and recipe.
      dataset: the examples.
      subsets: the subsets of the trials; None if all have the same size.
    """
    config.check_trainable("tfmem")
    check_backend(config)
    settings = config.training
    if settings.trainer == "mirrored":
        check_mirrored()
    if settings.trainer == "stacked" and isinstance(dataset, StreamedDataset):
        raise InputError(
            "training.trainer: expected 'auto' or 'mirrored' with dataset.image_size, whose images "
            "are read while training; received 'stacked'"
        )
    if settings.trainer in ("stacked", "auto"):
        platform().share_cores(lanes_known_at_once(config, dataset))
    if isinstance(config.model, PythonSettings):
        tokens = isinstance(dataset, TextDataset) and dataset.tokens is not None
        known = as_arrays(config, dataset) if tokens else dataset
        return own_trainers(config, config.model, known, subsets)
    examples = as_arrays(config, dataset)
    build_model = model_builder(config, examples)
    if settings.trainer == "fit":
        return [FitTrainer(build_model, examples, settings, config.task)]
    if settings.trainer == "mirrored":
        return [trainer_of_one(config, examples)]
    if isinstance(examples, StreamedDataset):
        task = task_for(config.task, examples, _output_shape(examples), "logits")
        return platform().streaming(build_model, examples, settings, task, None)
    model = build_model()
    task = task_for(config.task, examples, tuple(model.output_shape[1:]), output_kind(model))
    return stacked_trainers(build_model, model, examples, settings, task, subsets)


def trainer_of_one(config: Config, examples: ImageDataset) -> OneByOne:
    """A trainer of one model at a time, whatever trainer the settings name.

    Raises:
      InputError: if only its own `fit` can train the model.
    """
    if isinstance(config.model, PythonSettings):
        return one_by_one_trainer(users_builder(config.model), config, examples)
    task = task_for(config.task, examples, _output_shape(examples), "logits")
    build_model = model_builder(config, examples)
    return platform().one_by_one(build_model, examples, config.training, task, None)


def model_in_float32(config: Config, examples: ImageDataset) -> keras.Model:
    """The configuration's model, with all of its variables, in float32 or as its user wrote it."""
    if isinstance(config.model, PythonSettings):
        inputs = np.zeros((1, *examples.input_shape), np.float32)
        return Builder(users_builder(config.model), inputs)()
    return build(config.model, examples.input_shape, _output_shape(examples)[-1])


def _output_shape(examples: ImageDataset) -> tuple[int, ...]:
    """The shape of what tfmem's own models return for one example."""
    if isinstance(examples, Dataset) and examples.vocabulary:
        return (*examples.input_shape, examples.vocabulary)
    return (len(examples.class_names),)


def model_builder(config: Config, dataset: ImageDataset) -> Callable[[], keras.Model]:
    """Returns a function that builds and compiles the model of a configuration."""
    config.check_trainable("tfmem")
    of_tokens = isinstance(dataset, Dataset) and dataset.vocabulary
    if of_tokens and not isinstance(config.model, DecoderSettings):
        raise InputError(
            "model.name: expected decoder or python, whose models predict tokens "
            f"(dataset.text.tokens), received {config.model.name}"
        )
    settings = config.training
    size = subset_size(len(dataset.train_labels), settings.fraction)
    steps = settings.epochs * -(-size // settings.batch_size)

    def build_model() -> keras.Model:
        outputs = _output_shape(dataset)
        packed = isinstance(dataset, Dataset) and dataset.packed
        model = build(config.model, dataset.input_shape, outputs[-1], settings.precision, packed)
        _take_statistics(model, dataset)
        padding = 0 if len(outputs) > 1 else None
        return compiled(fuse_batch_normalization(model), settings, steps, padding)

    return build_model


def _take_statistics(model: keras.Model, dataset: ImageDataset) -> None:
    """Adapts a model to all training examples of a data set, if it has layers that need it."""
    if not is_adaptable(model):
        return
    if isinstance(dataset, StreamedDataset):
        raise InputError(
            f"model.name: {model.name} takes statistics of all training images: expected images "
            f"that are held in memory, received dataset.image_size {dataset.image_size}"
        )
    adapt(model, dataset.train_images, dataset.white)
