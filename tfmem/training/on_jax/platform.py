"""Stacks of models on JAX (see `tfmem.training.platforms.Platform`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import keras
import numpy as np

from tfmem.config import TrainingSettings
from tfmem.datasets import StreamedDataset
from tfmem.tasks import Task
from tfmem.training.initialization import Initializer, VariableInitializer
from tfmem.training.on_jax.alone import OneByOne
from tfmem.training.on_jax.programs import Programs
from tfmem.training.on_jax.resident import ResidentExamples
from tfmem.training.on_jax.rules import Rule
from tfmem.training.on_jax.stacked import StackedTrainer
from tfmem.training.on_jax.streams import StreamedExamples, StreamedTrainer
from tfmem.training.platforms import InMemory, Make, StackTrainer

_OF_MEMORY = 2  # stacks may take this part of a GPU's memory
_USUAL_MEMORY = 8 << 30  # bytes, where a GPU does not say how much it has


class OnJax:
    """JAX (see `Platform`)."""

    name = "JAX"
    largest_on_cpu = 16  # XLA runs through all weights in each step, which must lie in a cache

    def share_cores(self, lanes: int | None) -> None:
        """See `Platform.share_cores`; XLA's programs share all cores."""

    def gpus(self) -> Sequence[str]:
        """See `Platform.gpus`; CPUs count if XLA has been told to make several of the cores."""
        devices = jax.devices()
        if len(devices) == 1 and devices[0].platform == "cpu":
            return []
        return [f"{device.platform}:{number}" for number, device in enumerate(devices)]

    def gpu_budget(self) -> int:
        """See `Platform.gpu_budget`."""
        stats = jax.devices()[0].memory_stats() or {}
        return stats.get("bytes_limit", _USUAL_MEMORY) // _OF_MEMORY

    def is_out_of_memory(self, error: Exception) -> bool:
        """See `Platform.is_out_of_memory`."""
        is_jax = isinstance(error, jax.errors.JaxRuntimeError)
        return is_jax and "RESOURCE_EXHAUSTED" in str(error)

    def why_not_stacked(self, model: keras.Model) -> str:
        """See `Platform.why_not_stacked`; any optimizer is mapped over models."""
        del model
        return ""

    def why_not_one_by_one(self, model: keras.Model) -> str:
        """See `Platform.why_not_one_by_one`."""
        return self.why_not_stacked(model)

    def batch(self, examples: InMemory) -> tuple[Any, Any]:
        """See `Platform.batch`."""
        some = ResidentExamples(examples)
        indices = np.arange(some.num_train, dtype=np.int32)
        return some.inputs(some.arrays, indices), some.targets(some.arrays, indices)

    def maker(
        self,
        build: Callable[[], keras.Model],
        model: keras.Model,
        examples: InMemory,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Make:
        """See `Platform.maker`; one model serves all trainers, as programs hold no variables."""
        del build
        draw = initializer or VariableInitializer(model)
        rule = Rule(model)
        resident: dict[str | None, ResidentExamples] = {}
        programs: dict[int, Programs] = {}
        pad = settings.augmentation.pad

        def make(device: str | None, size: int) -> StackedTrainer:
            there = _device(device)
            if device not in resident:
                resident[device] = ResidentExamples(examples, there)
            first = next(iter(resident.values()))
            if size not in programs:
                programs[size] = Programs(model, rule, first, task, size, pad)
            return StackedTrainer(programs[size], resident[device], settings, there, task, draw)

        return make

    def one_by_one(
        self,
        build: Callable[[], keras.Model],
        examples: InMemory | StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> OneByOne:
        """See `Platform.one_by_one`; the model lies on the first device."""
        model = build()
        trainer: StackTrainer
        if isinstance(examples, StreamedDataset):
            (trainer,) = _streaming([None], model, examples, settings, task, initializer)
        else:
            trainer = self.maker(build, model, examples, settings, task, initializer)(None, 1)
        return OneByOne(model, trainer, examples)

    def streaming(
        self,
        build: Callable[[], keras.Model],
        examples: StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Sequence[StreamedTrainer]:
        """See `Platform.streaming`; each device is a lane, and one model serves all of them."""
        devices: Sequence[str | None] = self.gpus() or [None]
        lanes = [devices[lane % len(devices)] for lane in range(settings.lanes or len(devices))]
        return _streaming(lanes, build(), examples, settings, task, initializer)


def _streaming(
    lanes: Sequence[str | None],
    model: keras.Model,
    examples: StreamedDataset,
    settings: TrainingSettings,
    task: Task,
    initializer: Initializer | None,
) -> list[StreamedTrainer]:
    """A trainer for each lane, which is named by its device (see `OnJax.streaming`)."""
    devices = [_device(name) for name in lanes]
    read = [StreamedExamples(examples, device) for device in devices]
    programs = Programs(model, Rule(model), read[0], task, 1, settings.augmentation.pad)
    draw = initializer or VariableInitializer(model)
    return [
        StreamedTrainer(programs, lane, settings, device, task, draw)
        for lane, device in zip(read, devices, strict=True)
    ]


def _device(name: str | None) -> Any:
    """The device of a lane; lanes of a machine without GPU share its CPUs."""
    if name is None:
        return jax.devices()[0]
    return jax.devices()[int(name.rpartition(":")[2])]
