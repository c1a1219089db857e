"""What stacks of models need of Keras' backend, and which backend it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import keras
import numpy as np

from tfmem.config import TrainingSettings
from tfmem.datasets import Dataset, StreamedDataset, StructuredDataset
from tfmem.messages.backends import backend
from tfmem.messages.errors import InputError
from tfmem.tasks import Task
from tfmem.training.epochs import Machine
from tfmem.training.initialization import Initializer
from tfmem.training.outcome import Trainer

InMemory = Dataset | StructuredDataset


class StackTrainer(Machine, Trainer, Protocol):
    """A machine that trains stacks of one size.

    Attributes:
      num_values: number of the first variables that are the models' own.
    """

    num_values: int

    def probabilities(self) -> np.ndarray:
        """Probabilities of all classes for the training examples, `[stack, num_train, classes]`."""


# Of a device, or None for the platform's first one, and a stack size.
Make = Callable[[str | None, int], StackTrainer]


class OneByOne(Trainer, Protocol):
    """A trainer of one model at a time, which keeps what it has trained.

    Attributes:
      model: a model, which has the trained variables after `train`.
    """

    model: keras.Model

    def rates(self, steps: int) -> np.ndarray:
        """The learning rate of each of `steps` steps, float32 `[steps]`."""

    def activations(self, layer: str, test: bool) -> Iterator[np.ndarray]:
        """Yields the outputs of a layer of the trained model, for a split in index order."""


class Platform(Protocol):
    """A backend of Keras.

    Attributes:
      name: the backend's name in messages.
      largest_on_cpu: number of models that a stack has at most on a machine without GPU.
    """

    name: str
    largest_on_cpu: int

    def share_cores(self, lanes: int | None) -> None:
        """Gives each lane its share of the cores of a machine without GPU.

        Args:
          lanes: number of lanes; None if it is not known yet.
        """

    def gpus(self) -> Sequence[str]:
        """The names of the machine's GPUs."""

    def gpu_budget(self) -> int:
        """Bytes that all stacks on one GPU may take."""

    def is_out_of_memory(self, error: Exception) -> bool:
        """Whether an error of a program says that a device has no memory left."""

    def why_not_stacked(self, model: keras.Model) -> str:
        """What in a compiled model no stack can have; empty if nothing."""

    def why_not_one_by_one(self, model: keras.Model) -> str:
        """What in a compiled model `one_by_one` cannot train; empty if nothing."""

    def batch(self, examples: InMemory) -> tuple[Any, Any]:
        """The inputs and targets of a few training examples, as models receive them."""

    def maker(
        self,
        build: Callable[[], keras.Model],
        model: keras.Model,
        examples: InMemory,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Make:
        """Returns a function that makes the trainer of a device for a stack size.

        Args:
          build: makes a compiled model.
          model: the first one that it made, which a trainer will use.
          examples: the examples, which are copied to each device once.
          settings: epochs, batch size, augmentation.
          task: how examples are scored.
          initializer: draws the variables of a trial; None runs the layers' own initializers.
        """

    def one_by_one(
        self,
        build: Callable[[], keras.Model],
        examples: InMemory | StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> OneByOne:
        """The trainer of one model at a time, over all devices if the backend can do that.

        Raises:
          InputError: if the backend cannot read such examples.
        """

    def streaming(
        self,
        build: Callable[[], keras.Model],
        examples: StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Sequence[Trainer]:
        """Trainers of one model at a time, for examples that are read during training.

        There is one over all devices if the backend can do that, or one for each lane.
        """


def check_mirrored() -> None:
    """Refuses `trainer: mirrored` where Keras does not run on TensorFlow.

    Raises:
      InputError: if it does not.
    """
    if backend() != "tensorflow":
        raise InputError(
            "training.trainer: 'mirrored' spreads a model over devices by TensorFlow: expected "
            f"'stacked', 'auto' or 'fit' with Keras' backend {backend()!r}"
        )


def platform() -> Platform:
    """The platform of Keras' backend in this process."""
    if backend() == "jax":
        from tfmem.training.on_jax.platform import OnJax

        return OnJax()
    from tfmem.training.on_tensorflow import OnTensorFlow

    return OnTensorFlow()
