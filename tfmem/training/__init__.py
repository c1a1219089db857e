"""The farm: what is missing of a run's trials is claimed, trained and stored.

This room does not know what the predictions are for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tfmem.config import Config
from tfmem.datasets import AnyDataset
from tfmem.datasets.kept import labels_of
from tfmem.messages.backends import import_backend
from tfmem.messages.errors import InputError
from tfmem.store.claims import Worker
from tfmem.store.folders import open_folder
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.subsets import Subsets, subsets_of
from tfmem.training.backend_choice import with_chosen_backend
from tfmem.training.digests import with_digests
from tfmem.training.directory import check_directory, open_directory, with_stack_size
from tfmem.training.elsewhere import train_elsewhere, trains_here, with_backend
from tfmem.training.trials import Farm, TrialSummary

if TYPE_CHECKING:
    from tfmem.training.outcome import Trainer

__all__ = ["TrialSummary", "Worker", "check_directory", "open_farm", "open_trained", "train"]


def train(
    config: Config,
    dataset: AnyDataset,
    out: str | os.PathLike[str],
    worker: Worker | None = None,
) -> TrialSummary:
    """Trains those trials of `config` that the folder `out` does not hold yet.

    Args:
      config: the run's settings.
      dataset: the examples.
      out: the run's folder, a path or the URL of one in a bucket; receives `trials.csv`, and in
        `predictions` the shards, `labels.npz` and the settings they were made with.
      worker: this program's number among several that share the folder; None if it is the only one.

    Raises:
      InputError: if the folder holds other trials or a damaged shard, or if every trial diverges.
    """
    config = with_backend(with_chosen_backend(config, out))
    if not trains_here(config):
        before = _known(config, out)
        train_elsewhere(config, out, worker)
        farm = open_trained(config, out)
        farm.missing()
        return farm.finish(open_folder(out), farm.known_trials - before, {})
    worker = worker or Worker()
    return open_farm(config, dataset, out).run(worker, open_folder(out))


def _known(config: Config, out: str | os.PathLike[str]) -> int:
    """The number of trials that a run's folder holds."""
    begun = check_directory(open_folder(out).path("predictions"), with_digests(config))
    if begun is None:
        return 0
    training = config.training.model_copy(update={"trials": begun.training.trials})
    farm = open_trained(config.model_copy(update={"training": training}), out)
    farm.missing()
    return farm.known_trials


def open_farm(config: Config, dataset: AnyDataset, out: str | os.PathLike[str]) -> Farm:
    """Prepares the folder of a run as `train` does, without training anything yet.

    Args:
      config: the run's settings.
      dataset: the examples.
      out: the run's folder.
    """
    folder = open_folder(out).child("predictions")
    config = with_digests(with_chosen_backend(config, out))
    config, subsets, trainers = open_directory(folder, config, dataset, _make_trainers)

    def make() -> Sequence[Trainer]:
        return trainers or _make_trainers(config, dataset, subsets)

    return Farm(config, labels_of(dataset), subsets, folder, make, dataset)


def open_trained(config: Config, out: str | os.PathLike[str]) -> Farm:
    """Opens a folder in which workers have trained, by the labels in it and without any data.

    Args:
      config: the run's settings.
      out: the run's folder.

    Raises:
      InputError: if no worker has begun there, or the folder holds another run.
    """
    folder = open_folder(out).child("predictions")
    config = with_digests(with_chosen_backend(config, out))
    begun = check_directory(folder.location, config)
    if begun is None or not folder.exists(LABELS_NAME):
        raise InputError(f"{open_folder(out)}: no worker has begun here")
    if begun.training.trials != config.training.trials:
        raise InputError(
            f"{folder}: expected {config.training.trials} trials, workers were asked for "
            f"{begun.training.trials}: run workers with the same settings"
        )
    labels = Labels.from_npz(folder.read(LABELS_NAME), folder.path(LABELS_NAME))
    config = with_stack_size(config, begun.training.stack_size)
    return Farm(config, labels, subsets_of(config, len(labels.train_labels), folder), folder)


def _make_trainers(config: Config, dataset: AnyDataset, subsets: Subsets) -> Sequence[Trainer]:
    import_backend()
    from tfmem.training.trainers import make_trainers

    return make_trainers(config, dataset, subsets)
