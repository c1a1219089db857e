"""Subsets that are given and not drawn, as for the trials of experiments.

Their file is an npz with `masks` (uint8 `[trials, ceil(n / 8)]`, in index order, as `subset_mask`
of prediction records) and `num_train` (int64).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmem.messages.errors import InputError
from tfmem.store.npz import NpzFile, npz_bytes

SUBSETS_NAME = "subsets.npz"  # of the copy beside the predictions


@dataclass(frozen=True)
class GivenSubsets:
    """The subset of each trial (a `Subsets`).

    Attributes:
      masks: uint8 `[trials, ceil(num_train / 8)]`, packed in little bit order.
      num_train: number of training examples `n`.
    """

    masks: np.ndarray
    num_train: int

    @classmethod
    def of(cls, masks: Sequence[np.ndarray]) -> GivenSubsets:
        """From one bool `[num_train]` a trial."""
        whole = np.stack(masks)
        return cls(np.packbits(whole, axis=1, bitorder="little"), whole.shape[1])

    def __len__(self) -> int:
        return len(self.masks)

    def subset(self, trial_id: int) -> np.ndarray:
        """See `Subsets.subset`."""
        packed = self.masks[min(trial_id, len(self) - 1)]
        bits = np.unpackbits(packed, count=self.num_train, bitorder="little")
        return np.flatnonzero(bits).astype(np.int64)

    @property
    def sizes(self) -> np.ndarray:
        """See `Subsets.sizes`."""
        return np.bitwise_count(self.masks).sum(axis=1, dtype=np.int64)

    def digest(self) -> str:
        """SHA-256 of all subsets."""
        found = hashlib.sha256(f"{self.num_train},{len(self)}\n".encode())
        found.update(self.masks.tobytes())
        return found.hexdigest()

    def to_npz(self) -> bytes:
        """The contents of a file of subsets."""
        arrays = {"masks": self.masks, "num_train": np.int64(self.num_train)}
        return npz_bytes(arrays, compressed=True)


def parse_subsets(contents: bytes, source: str) -> GivenSubsets:
    """Reads the subsets in the contents of a file.

    Args:
      contents: the contents of an npz file.
      source: what the file is called in error messages.

    Raises:
      InputError: if it is no file of subsets, or a subset is empty or has examples beyond the last.
    """
    with NpzFile(contents, source) as arrays:
        masks = arrays.array("masks", "u", ("trials", "bytes"))
        num_train = int(arrays.array("num_train", "iu", ()))
    width = -(-num_train // 8)
    if masks.dtype != np.uint8 or masks.shape[1] != width or not len(masks):
        raise InputError(
            f"{source}: expected masks uint8 [trials, {width}] for {num_train} training examples, "
            f"received {masks.dtype} {list(masks.shape)}"
        )
    found = GivenSubsets(masks, num_train)
    if num_train % 8 and (masks[:, -1] >> num_train % 8).any():
        raise InputError(f"{source}: a subset has examples beyond the {num_train} that there are")
    if not found.sizes.all():
        raise InputError(f"{source}: the subset of trial {int(found.sizes.argmin())} is empty")
    return found


def read_subsets(path: str | os.PathLike[str]) -> GivenSubsets:
    """Reads a file of subsets; see `parse_subsets`."""
    try:
        contents = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise InputError(f"{path}: subsets cannot be read: {error.strerror}") from None
    return parse_subsets(contents, str(path))
