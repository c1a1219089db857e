"""The folder of a run's predictions: it is checked, and gets its settings and labels."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tfmem.config import Config, PythonSettings, differences, from_yaml
from tfmem.datasets import AnyDataset
from tfmem.datasets.kept import labels_of
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
    """Checks that a run with the settings `config` may continue a predictions folder.

    Args:
      location: the predictions folder, which need not exist.
      config: the settings of the run.

    Returns:
      The settings with which the folder was begun; None if it has no settings yet.

    Raises:
      InputError: if the folder holds trials with other settings; the error says what differs.
    """
    folder = open_folder(location)
    if not folder.exists(CONFIG_NAME):
        return None
    return _check(folder, folder.read(CONFIG_NAME), config)


def _check(folder: Folder, contents: bytes, config: Config) -> Config:
    begun = from_yaml(contents.decode(errors="replace"), source=folder.path(CONFIG_NAME))
    had, asked = begun.training, config.training
    changed = differences(begun.trial_settings(), as_begun(config, begun).trial_settings())
    changed = [_of_own_model(line) for line in changed]
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


def as_begun(config: Config, begun: Config) -> Config:
    """The settings, with the source of a user's model as a run began, if changes do not matter.

    Args:
      config: the settings of the run.
      begun: the settings with which its folder was begun.
    """
    asked, had = config.model, begun.model
    if not isinstance(asked, PythonSettings) or not isinstance(had, PythonSettings):
        return config
    if not (asked.ignore_source and asked.digest and had.digest):
        return config
    digest = {**asked.digest, "source": had.digest.get("source", "")}
    return config.model_copy(update={"model": asked.model_copy(update={"digest": digest})})


_OWN_MODEL = {
    "model.digest.source": "the module of model.build has changed; ignore_source=True (or "
    "model.ignore_source) goes on if that does not matter",
    "model.digest.architecture": "model.build returns another architecture",
    "model.digest.training": "model.build compiles with another optimizer or loss",
}


def _of_own_model(line: str) -> str:
    """A line about another hash of a user's model in words; other lines as they are."""
    return _OWN_MODEL.get(line.partition(": ")[0], line)


def open_directory(
    folder: Folder,
    config: Config,
    dataset: AnyDataset,
    make_trainers: MakeTrainers,
) -> tuple[Config, Subsets, Sequence[Trainer]]:
    """Prepares a folder for prediction shards: it gets its settings and labels.

    Args:
      folder: the predictions folder, which is made if it does not exist.
      config: the settings of the run.
      dataset: the examples.
      make_trainers: makes one trainer for each lane, and chooses the stack size if the settings do
        not.

    Returns:
      The settings with the stack size that holds for the folder; the subsets of its trials; and the
      trainers if they had to be made to find the stack size.

    Raises:
      InputError: if the folder holds another run or is for other data, if subsets are too small, or
        if groups cannot be drawn as a whole.
    """
    begun = check_directory(folder.location, config)
    _check_labels(folder, dataset)
    subsets = subsets_of(config, len(dataset.train_labels), folder)
    if not isinstance(config.model, PythonSettings):  # whose `fit` takes batches of any size
        check_batch(subsets, config.training.batch_size)
    folder.make()
    trainers: Sequence[Trainer] = ()
    if begun:
        config = with_stack_size(as_begun(config, begun), begun.training.stack_size)
    else:
        trainers = make_trainers(config, dataset, subsets)
        config = with_stack_size(config, trainers[0].stack_size)
    _write_once(folder, LABELS_NAME, labels_of(dataset).to_npz())
    contents = config.to_yaml().encode()
    if begun:
        _write_once(folder, CONFIG_NAME, contents)
        return config, subsets, trainers
    # Two workers that begin at once may measure differently: the choice of the first one holds.
    asked = with_stack_size(config, None)
    chosen = _check(folder, folder.create(CONFIG_NAME, contents), asked)
    if chosen.training.stack_size != config.training.stack_size:
        return with_stack_size(config, chosen.training.stack_size), subsets, ()
    return config, subsets, trainers


def with_stack_size(config: Config, stack_size: int | None) -> Config:
    """The settings with another stack size."""
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
