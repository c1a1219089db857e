"""Stacks of models on TensorFlow (see `tfmem.training.platforms.Platform`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.eager import context

from tfmem.config import TrainingSettings
from tfmem.datasets import StreamedDataset
from tfmem.tasks import Task
from tfmem.training.choosing import cores
from tfmem.training.hosted import Examples, placed_examples
from tfmem.training.initialization import Initializer
from tfmem.training.mirrored import MirroredTrainer
from tfmem.training.platforms import InMemory, Make
from tfmem.training.resident import ResidentExamples
from tfmem.training.stacked import StackedTrainer
from tfmem.training.updates import why_not_mirrored, why_not_stacked

_GPU_BUDGET = 4 << 30  # bytes


class OnTensorFlow:
    """TensorFlow (see `Platform`)."""

    name = "TensorFlow"
    largest_on_cpu = 128

    def share_cores(self, lanes: int | None) -> None:
        """See `Platform.share_cores`.

        Without a GPU, two lanes of one thread each are faster than two that share two threads.
        TensorFlow must know the number of threads before it does anything, hence before a model can
        be built and its memory estimated. Therefore lanes that are chosen by memory share all
        threads (see `lanes_known_at_once`), which at least do not spin while they wait for work:
        they would take the cores from other lanes.
        """
        if tf.config.list_physical_devices("GPU"):
            return
        _keep_threads_from_spinning()
        if lanes is None:
            return
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already, on all cores
            tf.config.threading.set_intra_op_parallelism_threads(max(1, cores() // lanes))

    def gpus(self) -> Sequence[str]:
        """See `Platform.gpus`."""
        return [device.name for device in tf.config.list_logical_devices("GPU")]

    def gpu_budget(self) -> int:
        """See `Platform.gpu_budget`; TensorFlow does not say how much memory is free."""
        return _GPU_BUDGET

    def is_out_of_memory(self, error: Exception) -> bool:
        """See `Platform.is_out_of_memory`."""
        return isinstance(error, tf.errors.ResourceExhaustedError)

    def why_not_stacked(self, model: keras.Model) -> str:
        """See `Platform.why_not_stacked`."""
        return why_not_stacked(model)

    def why_not_one_by_one(self, model: keras.Model) -> str:
        """See `Platform.why_not_one_by_one`."""
        return why_not_mirrored(model)

    def batch(self, examples: InMemory) -> tuple[Any, Any]:
        """See `Platform.batch`."""
        some = ResidentExamples(examples)
        indices = tf.range(some.num_train)
        return some.scaled(some.images(indices)), some.targets(indices)

    def maker(
        self,
        build: Callable[[], keras.Model],
        model: keras.Model,
        examples: InMemory,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Make:
        """See `Platform.maker`; each trainer traces a model of its own."""
        unused = [model]  # used once, because building a deep model takes seconds
        placed: dict[str | None, Examples] = {}
        fixed_shape = bool(model.jit_compile)

        def make(device: str | None, size: int) -> StackedTrainer:
            if device not in placed:
                with tf.device(device):
                    placed[device] = placed_examples(examples, settings, fixed_shape)
            built = unused.pop() if unused else build()
            there = placed[device]
            return StackedTrainer(built, there, settings, size, device, task, initializer)

        return make

    def one_by_one(
        self,
        build: Callable[[], keras.Model],
        examples: InMemory | StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> MirroredTrainer:
        """See `Platform.one_by_one`."""
        return MirroredTrainer(build, examples, settings, task=task, initializer=initializer)

    def streaming(
        self,
        build: Callable[[], keras.Model],
        examples: StreamedDataset,
        settings: TrainingSettings,
        task: Task,
        initializer: Initializer | None,
    ) -> Sequence[MirroredTrainer]:
        """See `Platform.streaming`."""
        return [self.one_by_one(build, examples, settings, task, initializer)]


def _keep_threads_from_spinning() -> None:
    """Has threads sleep while they wait for work, unless TensorFlow runs already.

    No function of `tf.config` sets this.
    """
    coming = context.context()
    if not coming._initialized and coming._config is None:
        quiet = {"disable_thread_spinning": True}
        coming._config = tf.compat.v1.ConfigProto(experimental=quiet)
