"""Adds hashes of the files that settings name."""

from __future__ import annotations

from tfmem.config import Config
from tfmem.encoders.location import with_encoder_digest
from tfmem.subsets import with_subset_digests
from tfmem.training.elsewhere import with_backend
from tfmem.training.identity import with_own_digests


def with_digests(config: Config) -> Config:
    """The settings with the digests of what they name: files of groups, subsets and an encoder.

    A model and a function of data that a user wrote have digests, too; and the backend of Keras
    is resolved.

    Raises:
      InputError: if such a file cannot be read, or does not hold what its setting expects.
    """
    config = with_encoder_digest(with_subset_digests(with_backend(config)))
    return with_own_digests(config)
