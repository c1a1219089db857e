"""Do memorization records of any two estimators find the same?

Estimators may differ in scale, as self-influence does from the subsampled estimator. So records are
compared by thresholds and by rank: which examples are among the highest of each estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from tfmem.estimation.agreement import Agreement, Curve
from tfmem.experiments.correlation import RankCorrelation, rank_correlation
from tfmem.messages.errors import InputError
from tfmem.store.files import write_atomically
from tfmem.store.results import read_memorization
from tfmem.store.spreadsheets import to_csv

_THRESHOLDS = np.arange(1, 101) / 100
_SHARES = np.arange(1, 101) / 100


@dataclass(frozen=True)
class RecordComparison:
    """Two sides, and how far their memorization agrees.

    Attributes:
      first: name of the side with which others are compared.
      second: name of the other side.
      correlation: Spearman's correlation, with its interval.
      by_threshold: agreement of the examples at or above each threshold.
      by_share: agreement of the examples in the highest share of each side. Its `threshold` is the
        share, which ascends; its `difference` is the mean difference of ranks, from 0 to 1.
    """

    first: str
    second: str
    correlation: RankCorrelation
    by_threshold: Curve
    by_share: Curve

    @property
    def said(self) -> str:
        """Describes the comparison in a sentence."""
        curve = self.by_share
        at = int(np.searchsorted(curve.threshold, 0.1))
        return (
            f"{self.second} and {self.first}: Spearman's correlation is {self.correlation}; the "
            f"highest 10% of each ({curve.second[at]:,} and {curve.first[at]:,} examples, with "
            f"all or none of equal ones) have J = {curve.jaccard[at]:.2f} "
            f"({curve.jaccard_low[at]:.2f} to {curve.jaccard_high[at]:.2f}; by chance "
            f"{by_chance(curve)[at]:.2f})."
        )


def by_chance(by_share: Curve) -> np.ndarray:
    """The `J` that independent sets of these sizes would have, `[shares]`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        both = by_share.first * by_share.second / by_share.either[-1]  # share 1 has all examples
        return both / (by_share.first + by_share.second - both)


def record_consistency(
    folders: Sequence[Path], out: Path, threshold: float
) -> list[RecordComparison]:
    """Compares the memorization records in the first folder with those in each other folder.

    Args:
      folders: at least two folders, with records of any estimator.
      out: receives `consistency.csv`.
      threshold: a threshold at which records are compared, among others.

    Raises:
      InputError: if records cannot be read or are of other examples, or if `out` cannot be written.
    """
    if len(folders) < 2:
        raise InputError(
            f"{folders[0]}: records have no halves: expected records to compare them with, or a run"
        )
    tables = [read_memorization(folder) for folder in folders]
    for folder, table in zip(folders, tables, strict=True):
        if not table["label"].equals(tables[0]["label"]):
            raise InputError(
                f"{folder}: expected records of the examples of {folders[0]}, with their labels"
            )
    names = [
        f"{folder} ({table.attrs['estimator']})"
        for folder, table in zip(folders, tables, strict=True)
    ]
    values = [table["memorization"].to_numpy(np.float64) for table in tables]
    found = [
        _compared((names[0], name), (values[0], value), threshold)
        for name, value in zip(names[1:], values[1:], strict=True)
    ]
    text = to_csv(curves(found), "%.6g")
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / "consistency.csv", text)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror}") from None
    return found


def curves(found: Sequence[RecordComparison]) -> pd.DataFrame:
    """Joins comparisons to one table.

    Returns:
      One row for each comparison, `by` (`threshold`, `share`) and threshold; see `Curve`. `chance`
      is the `J` that independent sets of the same sizes would have.
    """
    tables = []
    for each in found:
        names = {"first_name": each.first, "second_name": each.second}
        by_share = vars(each.by_share) | {"chance": by_chance(each.by_share)}
        tables.append(pd.DataFrame({**names, "by": "threshold", **vars(each.by_threshold)}))
        tables.append(pd.DataFrame({**names, "by": "share", **by_share}))
    return pd.concat(tables, ignore_index=True)


def _compared(
    names: tuple[str, str], sides: tuple[np.ndarray, np.ndarray], threshold: float
) -> RecordComparison:
    unknown = np.full(len(sides[0]), np.nan)
    values = Agreement(np.union1d(_THRESHOLDS, [threshold]))
    values.add(*sides, unknown)
    known = ~np.isnan(sides[0]) & ~np.isnan(sides[1])
    ranks = Agreement(1 - _SHARES[::-1])
    ranks.add(_ranks(sides[0], known), _ranks(sides[1], known), unknown)
    shares = {
        name: _SHARES if name == "threshold" else column[::-1]
        for name, column in vars(ranks.curve()).items()
    }
    return RecordComparison(*names, rank_correlation(*sides), values.curve(), Curve(**shares))


def _ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """The share of known values below each value, from 0 to 1; equal values have equal shares."""
    ranks = np.full(len(values), np.nan)
    ranks[known] = (rankdata(values[known]) - 0.5) / known.sum()
    return ranks
