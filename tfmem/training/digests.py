"""Settings that name files, with hashes of what is in them."""

from __future__ import annotations

from tfmem.config import Config
from tfmem.encoders.location import with_encoder_digest
from tfmem.messages.errors import InputError
from tfmem.store.groups import digest, read_groups
from tfmem.subsets.given import read_subsets


def with_digests(config: Config) -> Config:
    """The settings with the digests of groups, subsets and encoder, where they have such.

    Raises:
      InputError: naming the file that cannot be read, or is not what its setting says.
    """
    return with_encoder_digest(_with_subsets_digest(_with_groups_digest(config)))


def _with_groups_digest(config: Config) -> Config:
    """The settings with `training.groups_digest`, from the file that `training.groups` names.

    Raises:
      InputError: if the file cannot be read or is no file of groups.
    """
    training = config.training
    if training.groups is None or training.groups_digest is not None:
        return config
    found = digest(read_groups(training.groups))
    training = training.model_copy(update={"groups_digest": found})
    return config.model_copy(update={"training": training})


def _with_subsets_digest(config: Config) -> Config:
    """The settings with `training.subsets_digest`, from the file that `training.subsets` names.

    Raises:
      InputError: if the file cannot be read, or has fewer subsets than there are trials.
    """
    training = config.training
    if training.subsets is None or training.subsets_digest is not None:
        return config
    given = read_subsets(training.subsets)
    if len(given) < training.trials:
        raise InputError(
            f"{training.subsets}: expected a subset for each of {training.trials} trials "
            f"(training.trials), received {len(given)}"
        )
    training = training.model_copy(update={"subsets_digest": given.digest()})
    return config.model_copy(update={"training": training})
