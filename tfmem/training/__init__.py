"""Trains the trials of a run and leaves their predictions in shards."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tfmem.config import Config
from tfmem.datasets import Dataset
from tfmem.quiet import import_tensorflow
from tfmem.training.trials import TrialSummary, check_directory, run_trials

if TYPE_CHECKING:
    import keras

    from tfmem.training.outcome import Trainer

__all__ = ["TrialSummary", "check_directory", "train"]


def train(config: Config, dataset: Dataset, folder: Path) -> TrialSummary:
    """Trains what `folder` does not hold yet of the trials that `config` asks for.

    Args:
      config: the run's settings.
      dataset: the examples.
      folder: receives prediction shards, `labels.npz` and the settings they were made with.

    Raises:
      InputError: if the folder holds other trials or a damaged shard, or if a trial diverges.
    """
    return run_trials(config, dataset, folder, partial(_make_trainer, config, dataset))


def _make_trainer(config: Config, dataset: Dataset, stack_size: int | None) -> Trainer:
    import_tensorflow()
    from tfmem.models import build
    from tfmem.training.mirrored import MirroredTrainer
    from tfmem.training.stacked import StackedTrainer, choose_stack_size

    def build_model() -> keras.Model:
        shape, classes = dataset.train_images.shape[1:], len(dataset.class_names)
        return build(config.model, shape, classes, config.training.precision)

    if config.training.trainer == "mirrored":
        return MirroredTrainer(build_model, dataset, config.training)
    model = build_model()
    size = stack_size or choose_stack_size(model, config.training)
    return StackedTrainer(model, dataset, config.training, size)
