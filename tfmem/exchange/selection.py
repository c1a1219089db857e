"""Reads pairs from a published file, either of pairs or of class-wise matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.config import SelectionSettings
from tfmem.estimation.thresholds import at_least
from tfmem.exchange.matrices import Matrices, load_matrices
from tfmem.exchange.pairs import load_pairs
from tfmem.store.npz import NpzFile


@dataclass(frozen=True)
class PublishedPairs:
    """Pairs of a published file.

    Attributes:
      table: as `load_pairs` returns it.
      most_influenced: a function from a training example in the table and a number to that many
        test examples, those that it influences most, and to the influences; None if the file has
        pairs only.
    """

    table: pd.DataFrame
    most_influenced: Callable[[int, int], tuple[np.ndarray, np.ndarray]] | None


def open_pairs(
    path: Path, memorization: float | None = None, influence: float | None = None
) -> PublishedPairs:
    """Reads pairs, or selects them from matrices within classes.

    Args:
      path: an npz file of pairs or of class-wise matrices.
      memorization: least memorization; None is the file's threshold, or the paper's for matrices.
      influence: least influence; None likewise.

    Raises:
      InputError: if it is no such file, or naming the array that is wrong.
    """
    with NpzFile(path) as file:
        matrices = any(name.startswith("infl_matrix_class") for name in file.names)
    if matrices:
        default = SelectionSettings()
        opened = load_matrices(path)
        table = opened.pairs(
            default.least_memorization if memorization is None else memorization,
            default.least_influence if influence is None else influence,
        )
        return PublishedPairs(table, _Most(opened, table))
    table = load_pairs(path)
    least = {"memorization": memorization, "influence": influence}
    for column, threshold in least.items():
        if threshold is not None:
            table = table[at_least(table[column], threshold)]
    return PublishedPairs(table.reset_index(drop=True), None)


class _Most:
    """Looks up most influenced test examples in the matrix of a training example's class."""

    def __init__(self, matrices: Matrices, table: pd.DataFrame) -> None:
        self._matrices = matrices
        self._labels = dict(
            zip(table["train_index"].tolist(), table["label"].tolist(), strict=True)
        )

    def __call__(self, train_index: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        return self._matrices[self._labels[train_index]].most_influenced(train_index, count)
