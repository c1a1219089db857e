"""How subsets come about if they are not simply drawn: copies of the files that say so.

A copy lies beside the shards, and is what workers read, wherever they are; the digest in the
settings says what is in it.
"""

from __future__ import annotations

import numpy as np

from tfmem.config import Config
from tfmem.messages.errors import InputError
from tfmem.store.folders import Folder
from tfmem.store.groups import (
    GROUPS_NAME,
    Groups,
    digest,
    groups_to_csv,
    parse_groups,
    read_groups,
    units,
)
from tfmem.subsets.drawing import check_groups, subset_size
from tfmem.subsets.given import SUBSETS_NAME, GivenSubsets, parse_subsets, read_subsets


def keep_groups(folder: Folder, config: Config, num_train: int) -> None:
    """Copies the file of groups into the folder of predictions, if the settings have one.

    A copy that is there is left if it is the settings'; another one is of a run that never began.

    Raises:
      InputError: if its groups cannot be drawn as wholes, or are not those of the settings' digest.
    """
    path = config.training.groups
    if path is None:
        return
    if folder.exists(GROUPS_NAME):
        there = parse_groups(folder.read(GROUPS_NAME), folder.path(GROUPS_NAME))
        if digest(there) == config.training.groups_digest:
            return
    groups = read_groups(path, num_train)
    _check(groups, config, path)
    sizes = [len(members) for members in units(groups, path)]
    check_groups(sizes, num_train, subset_size(num_train, config.training.fraction))
    folder.write(GROUPS_NAME, groups_to_csv(groups))


def kept_units(folder: Folder, config: Config, num_train: int) -> tuple[np.ndarray, ...]:
    """The sets of examples that subsets hold as wholes, int64 each; none without groups.

    Raises:
      InputError: if the copy in the folder is not what the run was begun with.
    """
    if config.training.groups is None:
        return ()
    path = folder.path(GROUPS_NAME)
    groups = parse_groups(folder.read(GROUPS_NAME), path, num_train)
    _check(groups, config, path)
    return units(groups, path)


def _check(groups: Groups, config: Config, path: str) -> None:
    expected, found = config.training.groups_digest or "", digest(groups)
    if found != expected:
        raise InputError(
            f"{path}: expected the groups with training.groups_digest {expected[:16]}, received "
            f"others ({found[:16]})"
        )


def keep_subsets(folder: Folder, config: Config, num_train: int) -> None:
    """Copies the file of subsets into the folder of predictions, if the settings have one.

    Raises:
      InputError: if it is of other data, or is not that of the settings' digest.
    """
    path = config.training.subsets
    if path is None or folder.exists(SUBSETS_NAME):
        return
    given = read_subsets(path)
    _check_subsets(given, config, num_train, path)
    folder.write(SUBSETS_NAME, given.to_npz())


def kept_subsets(folder: Folder, config: Config, num_train: int) -> GivenSubsets | None:
    """The subsets that trials are trained on; None if they are drawn.

    Raises:
      InputError: if the copy in the folder is not what the run was begun with.
    """
    if config.training.subsets is None:
        return None
    path = folder.path(SUBSETS_NAME)
    given = parse_subsets(folder.read(SUBSETS_NAME), path)
    _check_subsets(given, config, num_train, path)
    return given


def _check_subsets(given: GivenSubsets, config: Config, num_train: int, path: str) -> None:
    if given.num_train != num_train:
        raise InputError(
            f"{path}: expected subsets of {num_train} training examples, received {given.num_train}"
        )
    expected, found = config.training.subsets_digest or "", given.digest()
    if found != expected:
        raise InputError(
            f"{path}: expected the subsets with training.subsets_digest {expected[:16]}, received "
            f"others ({found[:16]})"
        )
