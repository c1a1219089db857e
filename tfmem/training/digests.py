"""Settings that name files, with hashes of what is in them."""

from __future__ import annotations

from tfmem.config import Config
from tfmem.encoders.location import with_encoder_digest
from tfmem.subsets import with_subset_digests


def with_digests(config: Config) -> Config:
    """The settings with the digests of groups, subsets and encoder, where they have such.

    Raises:
      InputError: naming the file that cannot be read, or is not what its setting says.
    """
    return with_encoder_digest(with_subset_digests(config))
