"""Makes the trainers of a user's Keras model: stacks where they do as `fit` would, else `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfmem.config import Config
from tfmem.config.functions import resolve
from tfmem.datasets import AnyDataset, Dataset, StreamedDataset, StructuredDataset, TextDataset
from tfmem.messages.backends import backend
from tfmem.messages.errors import InputError
from tfmem.messages.terminal import say
from tfmem.models.outputs import check_probabilities, output_kind
from tfmem.subsets import Subsets, Trial
from tfmem.tasks import Task
from tfmem.training.builder import Build, Builder, BuiltInitializer, said, shared
from tfmem.training.fit import FitTrainer
from tfmem.training.initialization import Initializer
from tfmem.training.losses import reductions, stateless_loss
from tfmem.training.outcome import Trainer
from tfmem.training.platforms import InMemory, OneByOne, platform
from tfmem.training.scoring import check_outputs, task_for
from tfmem.training.sizes import are_too_large
from tfmem.training.stacks import stacked_trainers

_SAMPLE = 4  # examples with which a model is tried
_ROUNDING = 1e-3  # relative difference of losses that are summed in another order
# Methods of a model that `fit` and `predict` call; a user's own do what no other trainer does.
_METHODS = (
    "fit",
    "make_train_function",
    "train_step",
    "predict",
    "make_predict_function",
    "predict_step",
)

_NO_NUMBER = "its loss is not one number for a batch"


def keras_trainers(
    build: Build, config: Config, dataset: AnyDataset, subsets: Subsets | None
) -> Sequence[Trainer]:
    """Makes the trainers of a user's Keras model.

    Args:
      build: returns a compiled model.
      config: the settings; `training.trainer` says how models are trained.
      dataset: the examples.
      subsets: the subsets of the trials; None if all have the same size.

    Raises:
      InputError: if model, data and settings do not go together, or if the trainer of the settings
        does not train such a model.
    """
    settings = config.training
    wanted = settings.trainer
    if wanted == "fit":
        return [_fit(build, config, dataset)]
    if wanted == "mirrored":
        return [one_by_one_trainer(build, config, dataset)]
    streamed = isinstance(dataset, StreamedDataset)
    why, found = _tried(build, config, dataset, one_by_one=streamed)
    if wanted == "auto":
        how = "one model at a time" if streamed else "in stacks"
        how = f"by its own fit, one model at a time ({why})" if why else how
        say(f"model: trained {how}; training.trainer is auto")
        if why or found is None:
            return [_fit(build, config, dataset)]
    if why or found is None or isinstance(dataset, TextDataset):
        raise InputError(
            f"training.trainer: {wanted!r} cannot train this model: {why}; expected 'fit' or 'auto'"
        )
    builder, task, initializer = found
    if isinstance(dataset, StreamedDataset):
        return platform().streaming(builder, dataset, settings, task, initializer)
    return stacked_trainers(builder, builder(), dataset, settings, task, subsets, initializer)


def one_by_one_trainer(build: Build, config: Config, dataset: AnyDataset) -> OneByOne:
    """Makes a trainer of a user's Keras model, one at a time, whatever trainer settings name.

    Raises:
      InputError: as `keras_trainers` does.
    """
    why, found = _tried(build, config, dataset, one_by_one=True)
    if why or found is None or isinstance(dataset, TextDataset):
        raise InputError(f"training.trainer: 'mirrored' cannot train this model: {why}")
    builder, task, initializer = found
    return platform().one_by_one(builder, dataset, config.training, task, initializer)


def trainer_of_any(build: Build, config: Config, dataset: AnyDataset) -> OneByOne | FitTrainer:
    """Makes a trainer of one Keras model at a time: the model's own `fit` where no other will do.

    Raises:
      InputError: if the model fails on the examples.
    """
    if config.training.trainer == "fit" or isinstance(dataset, TextDataset):
        return _fit(build, config, dataset)
    why, found = _tried(build, config, dataset, one_by_one=True)
    if why or found is None:
        return _fit(build, config, dataset)
    builder, task, initializer = found
    return platform().one_by_one(builder, dataset, config.training, task, initializer)


def _fit(build: Build, config: Config, dataset: AnyDataset) -> FitTrainer:
    settings = config.training
    if settings.augmentation != type(settings.augmentation)():
        raise InputError(
            "training.augmentation: expected none with trainer: fit, because a model's own fit "
            "changes no images; put random layers into the model"
        )
    arguments = None
    if settings.fit_arguments is not None:
        arguments = resolve(settings.fit_arguments, "training.fit_arguments")
    return FitTrainer(build, dataset, settings, config.task, arguments)


Tried = tuple[Builder, Task, Initializer]


def _tried(
    build: Build, config: Config, dataset: AnyDataset, one_by_one: bool
) -> tuple[str, Tried | None]:
    """Why a model cannot be trained as `fit` would, in stacks or one by one over all devices.

    Returns:
      The reason, empty if there is none, and what a trainer needs.
    """
    settings = config.training
    if settings.fit_arguments is not None:
        return "training.fit_arguments are arguments of fit", None
    try:
        examples = _suitable(dataset)
    except InputError as error:
        return str(error), None
    if isinstance(examples, InMemory) and backend() == "jax" and are_too_large(examples, settings):
        return "only fit reads examples that are too large (training.memory_share) on JAX", None
    builder, task = _built(build, config, examples)
    model = builder()
    other = builder()
    if one_by_one and (outside := shared(model, other)):
        return f"{outside[0].path!r} is made outside of model.build; make all layers within", None
    on = platform()
    why = on.why_not_one_by_one if one_by_one else on.why_not_stacked
    if reason := _why_fit(model) or _why_not_reset(other) or why(model):
        return reason, None
    try:
        initializer = BuiltInitializer(builder)
    except InputError as error:
        if "no trial's seed decides" not in str(error):
            raise
        return said(error), None
    if one_by_one or isinstance(examples, StreamedDataset):
        return "", (builder, task, initializer)
    return _why_no_stack(model, examples, config, task, initializer), (builder, task, initializer)


def _suitable(dataset: AnyDataset) -> InMemory | StreamedDataset:
    """The data set, if trainers other than `fit` can read it.

    Raises:
      InputError: if its inputs hold texts.
    """
    if not isinstance(dataset, Dataset | StructuredDataset | StreamedDataset):
        raise InputError("examples are texts, which only fit takes")
    if isinstance(dataset, StructuredDataset):
        for name, values in dataset.train_inputs.items():
            if values.dtype.kind not in "fiub":
                what = f"the input {name!r} holds" if name else "examples hold"
                raise InputError(f"{what} no numbers")
    return dataset


def _built(
    build: Build, config: Config, dataset: InMemory | StreamedDataset
) -> tuple[Builder, Task]:
    """The builder of a model, which is called and checked once, and its task."""
    count = min(_SAMPLE, len(dataset.train_labels))
    if isinstance(dataset, StreamedDataset):
        inputs: Any = keras.ops.zeros((count, *dataset.input_shape))
    else:
        inputs, _ = platform().batch(dataset.keep(np.arange(count), np.arange(0)))
    builder = Builder(build, inputs)
    model = builder()
    outputs = builder.outputs(model)
    kind = output_kind(model)
    shape: tuple[int | None, ...] = ()
    if keras.ops.is_tensor(outputs):
        shape = tuple(outputs.shape[1:])
        if kind == "probabilities":
            check_probabilities(np.asarray(outputs))
    task = task_for(config.task, dataset, shape, kind)
    check_outputs(outputs, task)
    return builder, task


def _why_fit(model: keras.Model) -> str:
    """What a model has that only its own `fit` respects; empty if nothing."""
    for name in _METHODS:
        if getattr(type(model), name) is not getattr(keras.Model, name):
            return f"{type(model).__name__} has its own {name}"
    if model.run_eagerly:
        return "it is compiled with run_eagerly"
    if reductions(model) & {"none"}:
        return _NO_NUMBER
    return ""


def _why_not_reset(model: keras.Model) -> str:
    """Why an optimizer's first state is not the same in all trials; empty if it is."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    weights = model.trainable_variables
    if hasattr(optimizer, "optimizers"):
        return f"{type(optimizer).__name__} has several optimizers, each with a rate of its own"
    if not optimizer.built:
        optimizer.build(weights)
        for slot in optimizer.variables:
            values = np.asarray(slot)
            if values.any() and any(np.array_equal(weight, values) for weight in weights):
                return "what its optimizer remembers begins with the weights"
    return ""


def _why_no_stack(
    model: keras.Model, dataset: InMemory, config: Config, task: Task, draw: Initializer
) -> str:
    """Why two models in a stack do not learn what each learns alone; empty if they do."""
    rows = np.arange(min(_SAMPLE, len(dataset.train_labels)))
    some = dataset.keep(rows, np.arange(0))
    settings = config.training.model_copy(
        update={"augmentation": type(config.training.augmentation)()}
    )
    values = draw.of_stack([Trial(number, config.seed) for number in range(2)])
    try:
        expected = [_loss(model, some, each) for each in zip(*values, strict=True)]
    except Exception as error:
        raise InputError(f"model.build: the loss fails on examples: {said(error)}") from error
    if any(np.ndim(loss) for loss in expected):
        return _NO_NUMBER
    try:
        make = platform().maker(lambda: model, model, some, settings, task, draw)
        stack = make(None, 2)
        stack.assign(values)
        orders = np.stack([rows, rows])
        rates = np.zeros(len(rows), np.float32)
        losses = stack.run_epoch(orders, orders.astype(np.uint64), rates)
        stack.predict()
    except InputError:
        raise
    except Exception as error:
        return f"{platform().name} cannot map it over a stack: {said(error)}"
    if len(rows) <= settings.batch_size and not np.allclose(
        losses, expected, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True
    ):
        return "two models in a stack have other losses than alone"
    return ""


def _loss(model: keras.Model, some: InMemory, values: Sequence[np.ndarray]) -> np.ndarray:
    """The loss of a model with given variables on some examples."""
    inputs, targets = platform().batch(some)
    count = len(model.trainable_variables)
    weights, state = (
        [keras.ops.convert_to_tensor(v) for v in part] for part in (values[:count], values[count:])
    )
    loss, _ = stateless_loss(model, weights, state, inputs, targets)
    return np.asarray(keras.ops.convert_to_numpy(loss))
