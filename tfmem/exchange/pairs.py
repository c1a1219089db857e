"""High-influence pairs as Feldman & Zhang released them: an npz of four arrays of equal length.

`tr_idx` and `tt_idx` (int64) are the training and the test example of each pair, `infl` and `mem`
(float64) the influence of the first on the second and the memorization of the first.
"""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd

from tfmem.exchange.arrays import check_estimates, check_range, write_npz
from tfmem.messages.errors import InputError
from tfmem.store.npz import NpzFile
from tfmem.store.pairs import Pairs, PairStatistics, statistics

_NAMES = {
    "train_index": "tr_idx",
    "test_index": "tt_idx",
    "influence": "infl",
    "memorization": "mem",
}


def load_pairs(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Reads released pairs: `tfmem.load_pairs("cifar100_high_infl_pairs_infl0.15_mem0.25.npz")`.

    Args:
      path: an npz file as described above.

    Returns:
      One row a pair, most influential first, with the columns `train_index` and `test_index` int64,
      `influence` and `memorization` float64.

    Raises:
      InputError: naming file and array, if one is missing, damaged, of another kind or length than
        the others, or holds what is no index or no estimate; or if a pair is there twice.
    """
    path = Path(path)
    columns: dict[str, np.ndarray] = {}
    with NpzFile(path) as file:
        length: int | str = "pairs"
        for column, name in _NAMES.items():
            values = file.array(name, "iu" if name.endswith("idx") else "f", (length,))
            length = len(values)
            columns[column] = _checked(values, f"{path}: {name}")
    table = pd.DataFrame(columns)
    if (again := table.duplicated(["train_index", "test_index"])).any():
        first = table[again].iloc[0]
        raise InputError(
            f"{path}: the pair of training example {first['train_index']:.0f} and test example "
            f"{first['test_index']:.0f} is there more than once"
        )
    return most_influential_first(table)


def _checked(values: np.ndarray, where: str) -> np.ndarray:
    if values.dtype.kind == "f":
        return check_estimates(values, where).astype(np.float64)
    return check_range(values, where)


def most_influential_first(pairs: pd.DataFrame) -> pd.DataFrame:
    """Pairs sorted by influence, ties by training, then by test index, as those of a run are."""
    order = ["influence", "train_index", "test_index"]
    return pairs.sort_values(order, ascending=[False, True, True], ignore_index=True)


def write_pairs(path: str | os.PathLike[str], pairs: pd.DataFrame) -> None:
    """Writes pairs as they were released.

    Args:
      path: the npz file.
      pairs: a table with the columns that `load_pairs` returns, such as `Run.pairs`.
    """
    write_npz(
        Path(path),
        (
            (name, pairs[column].to_numpy(np.int64 if name.endswith("idx") else np.float64))
            for column, name in _NAMES.items()
        ),
    )


def pair_statistics(pairs: pd.DataFrame) -> PairStatistics:
    """Unique examples in a table of pairs, and how many influencers test examples have."""
    unknown = np.full(len(pairs), np.nan)
    columns = {
        field.name: pairs[field.name].to_numpy() if field.name in pairs else unknown
        for field in fields(Pairs)
    }
    return statistics(Pairs(**columns))
