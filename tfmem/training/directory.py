"""The folder of a run's predictions: whose it is, and what is in it beside shards."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tfmem.config import Config, differences, from_yaml
from tfmem.datasets import AnyDataset
from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder, open_folder
from tfmem.store.labels import LABELS_NAME, Labels
from tfmem.store.predictions import CONFIG_NAME
from tfmem.subsets import Subsets, subsets_of
from tfmem.subsets.stacks import check_batch

if TYPE_CHECKING:
    from tfmem.training.outcome import Trainer  # imports TensorFlow

MakeTrainers = Callable[[Config, AnyDataset, Subsets], "Sequence[Trainer]"]


def check_directory(location: str | os.PathLike[str], config: Config) -> Config | None:
    """Checks that a predictions folder may be continued with a configuration.

    Args:
      location: the predictions folder, which need not exist.
      config: what is asked for.

    Returns:
      The settings that the folder was begun with; None if there is nothing in it yet.

    Raises:
      InputError: saying what differs, if its trials are not those that `config` asks for.
    """
    folder = open_folder(location)
    if not folder.exists(CONFIG_NAME):
        return None
    return _check(folder, folder.read(CONFIG_NAME), config)


def _check(folder: Folder, contents: bytes, config: Config) -> Config:
    begun = from_yaml(contents.decode(errors="replace"), source=folder.path(CONFIG_NAME))
    had, asked = begun.training, config.training
    changed = differences(begun.trial_settings(), config.trial_settings())
    for name in ("trainer", "probabilities", "stack_size"):
        before, after = getattr(had, name), getattr(asked, name)
        if after not in (None, before):
            changed.append(f"training.{name}: {before!r} -> {after!r}")
    if asked.trials < had.trials:
        changed.append(f"training.trials: {had.trials} -> {asked.trials}")
    if changed:
        raise InputError(
            f"{folder} was made with other settings ({'; '.join(changed)}): "
            "choose another output folder, or the same settings"
        )
    return begun


def open_directory(
    folder: Folder,
    config: Config,
    dataset: AnyDataset,
    make_trainers: MakeTrainers,
) -> tuple[Config, Subsets, Sequence[Trainer]]:
    """Makes a folder ready for shards.

    Args:
      folder: the predictions folder; made if needed.
      config: what is asked for.
      dataset: the examples.
      make_trainers: makes one trainer a lane; chooses the stack size if the settings do not.

    Returns:
      The settings with the stack size that holds for the folder; the subsets of its trials; and the
      trainers if they had to be made to find the stack size.

    Raises:
      InputError: if the folder is that of another run or other data, if subsets are too small, or
        if groups cannot be drawn as wholes.
    """
    begun = check_directory(folder.location, config)
    _check_labels(folder, dataset)
    subsets = subsets_of(config, len(dataset.train_labels), folder)
    check_batch(subsets, config.training.batch_size)
    folder.make()
    trainers: Sequence[Trainer] = ()
    if begun:
        config = _with_stack_size(config, begun.training.stack_size)
    else:
        trainers = make_trainers(config, dataset, subsets)
        config = _with_stack_size(config, trainers[0].stack_size)
    labels = Labels(
        dataset.train_labels,
        dataset.test_labels,
        dataset.class_names,
        dataset.fingerprint,
        dataset.clean_train_labels,
    )
    _write_once(folder, LABELS_NAME, labels.to_npz())
    contents = config.to_yaml().encode()
    if begun:
        _write_once(folder, CONFIG_NAME, contents)
        return config, subsets, trainers
    # Two workers that begin at once may have measured differently: the first one's choice holds.
    asked = _with_stack_size(config, None)
    chosen = _check(folder, folder.create(CONFIG_NAME, contents), asked)
    if chosen.training.stack_size != config.training.stack_size:
        return _with_stack_size(config, chosen.training.stack_size), subsets, ()
    return config, subsets, trainers


def _with_stack_size(config: Config, stack_size: int | None) -> Config:
    training = config.training.model_copy(update={"stack_size": stack_size})
    return config.model_copy(update={"training": training})


def _write_once(folder: Folder, name: str, contents: bytes) -> None:
    if not folder.exists(name) or folder.read(name) != contents:
        folder.write(name, contents)


def _check_labels(folder: Folder, dataset: AnyDataset) -> None:
    if not folder.exists(LABELS_NAME):
        return
    path = folder.path(LABELS_NAME)
    there = Labels.from_npz(folder.read(LABELS_NAME), path).dataset_fingerprint
    if there != dataset.fingerprint:
        raise InputError(
            f"{folder} was made with other data: expected a data set with fingerprint "
            f"{there.hex()[:16]}, received {dataset.name} with {dataset.fingerprint.hex()[:16]}"
        )
