"""The subsets of a run: what its settings say, and copies of the files that these name.

A copy lies beside the shards, and is what workers read, wherever they are; the digest in the
settings says what is in it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder
from tfmem.store.groups import GROUPS_NAME, groups_to_csv, parse_groups, read_groups
from tfmem.subsets.drawing import DrawnSubsets, subset_size
from tfmem.subsets.given import SUBSETS_NAME, GivenSubsets, parse_subsets, read_subsets
from tfmem.subsets.groups import check_groups, groups_digest, units
from tfmem.subsets.stacks import RepeatedSubsets, Subsets


def with_subset_digests(config: Config) -> Config:
    """The settings with `training.groups_digest` and `training.subsets_digest`, of their files.

    Raises:
      InputError: if a file cannot be read or is not what its setting says, or has fewer subsets
        than there are trials.
    """
    training, found = config.training, dict[str, str]()
    if training.groups is not None and training.groups_digest is None:
        found["groups_digest"] = groups_digest(read_groups(training.groups))
    if training.subsets is not None and training.subsets_digest is None:
        given = read_subsets(training.subsets)
        if len(given) < distinct_subsets(config):
            raise InputError(
                f"{training.subsets}: expected {distinct_subsets(config)} subsets for "
                f"{training.trials} trials (training.trials, training.repeats), received "
                f"{len(given)}"
            )
        found["subsets_digest"] = given.digest()
    return config.model_copy(update={"training": training.model_copy(update=found)})


def subsets_of(config: Config, num_train: int, folder: Folder) -> Subsets:
    """The subsets that the trials of a run see: given, drawn by group, or simply drawn.

    Args:
      config: the run's settings, with the digests of files that they name.
      num_train: number of training examples `n`.
      folder: that of the predictions, which receives copies of these files and is read if it has
        them.

    Raises:
      InputError: if a file is of other data or not that of the digest, or if groups cannot be drawn
        as wholes.
    """
    distinct, repeats = _distinct(config, num_train, folder), config.training.repeats
    return distinct if repeats == 1 else RepeatedSubsets(distinct, repeats)


def distinct_subsets(config: Config) -> int:
    """The number of different subsets that the trials of a run see."""
    return -(-config.training.trials // config.training.repeats)


def _distinct(config: Config, num_train: int, folder: Folder) -> Subsets:
    """The different subsets of a run, by number."""
    if config.training.subsets is not None:
        return _given(config, num_train, folder)
    size = subset_size(num_train, config.training.fraction)
    return DrawnSubsets(num_train, size, config.seed, _whole_groups(config, num_train, folder))


def _whole_groups(config: Config, num_train: int, folder: Folder) -> tuple[np.ndarray, ...]:
    """The sets of examples that subsets hold as wholes, int64 each; none without groups."""
    path, expected = config.training.groups, config.training.groups_digest
    if path is None:
        return ()
    if folder.exists(GROUPS_NAME):
        copy = folder.path(GROUPS_NAME)
        there = parse_groups(folder.read(GROUPS_NAME), copy)
        if groups_digest(there) == expected:
            return units(parse_groups(folder.read(GROUPS_NAME), copy, num_train), copy)
    groups = read_groups(path, num_train)  # another copy is of a run that never began
    _check_digest(path, "groups", expected, groups_digest(groups))
    whole = units(groups, path)
    sizes = [len(members) for members in whole]
    check_groups(sizes, num_train, subset_size(num_train, config.training.fraction))
    folder.make()
    folder.write(GROUPS_NAME, groups_to_csv(groups))
    return whole


def _given(config: Config, num_train: int, folder: Folder) -> GivenSubsets:
    path, expected = config.training.subsets or "", config.training.subsets_digest
    copied = folder.exists(SUBSETS_NAME)
    source = folder.path(SUBSETS_NAME) if copied else path
    given = parse_subsets(folder.read(SUBSETS_NAME), source) if copied else read_subsets(path)
    if given.num_train != num_train:
        raise InputError(
            f"{source}: expected subsets of {num_train} training examples, received "
            f"{given.num_train}"
        )
    _check_digest(source, "subsets", expected, given.digest())
    if not copied:
        folder.make()
        folder.write(SUBSETS_NAME, given.to_npz())
    return replace(given, masks=given.masks[: distinct_subsets(config)])


def _check_digest(source: str, kind: str, expected: str | None, found: str) -> None:
    if found != expected:
        raise InputError(
            f"{source}: expected the {kind} with training.{kind}_digest {(expected or '')[:16]}, "
            f"received others ({found[:16]})"
        )
