"""Reads and writes estimates as the authors' MNIST demonstration does, with one big matrix.

`memorization` is float32 `[num_train]`, `influence` float32 **`[num_test, num_train]`**: the other
way round than in the class-wise files. There influence is known for all pairs. Estimates of tfmem
are of pairs of one class, so what is written for a training and a test example of different classes
is NaN, which says "not estimated", and not 0, which would say "no influence". Whoever takes a
maximum of such a matrix wants `numpy.nanmax`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tfmem.exchange.arrays import ArrayInParts, check_estimates, write_npz
from tfmem.exchange.matrices import ClassMatrix, labels_of
from tfmem.store.npz import NpzFile

_PART_BYTES = 64 << 20
_NANS = 1100  # of many classes, nearly all of the matrix is NaN, and packed a thousand times


class Demonstration(NamedTuple):
    """Estimates of the demonstration.

    Attributes:
      memorization: float32 `[num_train]`.
      influence: float32 `[num_test, num_train]`; NaN where it was not estimated.
    """

    memorization: np.ndarray
    influence: np.ndarray


def load_demonstration(path: str | os.PathLike[str]) -> Demonstration:
    """Reads a file of the demonstration, all of it (2.4 GB for MNIST).

    Raises:
      InputError: naming file and array, if one is missing, damaged, or of another kind or shape.
    """
    path = Path(path)
    with NpzFile(path, ratio=_NANS) as file:
        memorization = file.array("memorization", "f", ("num_train",))
        influence = file.array("influence", "f", ("num_test", len(memorization)))
    check_estimates(memorization, f"{path}: memorization")
    check_estimates(influence, f"{path}: influence")
    return Demonstration(
        memorization.astype(np.float32, copy=False), influence.astype(np.float32, copy=False)
    )


def write_demonstration(
    path: str | os.PathLike[str], blocks: Iterable[ClassMatrix], memorization: np.ndarray
) -> None:
    """Writes estimates as the demonstration does; the big matrix is made while it is written.

    Args:
      path: the npz file.
      blocks: a matrix for each class; every example is in one. They are held, 8 bytes for each pair
        of one class.
      memorization: float `[num_train]`.

    Raises:
      InputError: if an example is in no class.
    """
    held = list(blocks)
    labels_of({block.label: block.train_index for block in held}, len(memorization), "training")
    owner = labels_of({number: block.test_index for number, block in enumerate(held)}, None, "test")
    shape = len(owner), len(memorization)
    rows = ArrayInParts(shape, np.dtype(np.float32), _rows(held, owner, len(memorization)))
    write_npz(Path(path), [("memorization", memorization.astype(np.float32)), ("influence", rows)])


def _rows(blocks: Sequence[ClassMatrix], owner: np.ndarray, num_train: int) -> Iterator[np.ndarray]:
    """The matrix `[num_test, num_train]`, some rows at a time; `owner`: blocks by test index."""
    place = np.empty(len(owner), np.int64)  # where a test example is in its block
    for block in blocks:
        place[block.test_index] = np.arange(len(block.test_index))
    by_test = [np.ascontiguousarray(block.influence.T, np.float32) for block in blocks]
    step = max(1, _PART_BYTES // (4 * max(1, num_train)))
    for start in range(0, len(owner), step):
        rows = np.full((min(step, len(owner) - start), num_train), np.nan, np.float32)
        for row, test in zip(rows, range(start, start + step), strict=False):
            row[blocks[owner[test]].train_index] = by_test[owner[test]][place[test]]
        yield rows
